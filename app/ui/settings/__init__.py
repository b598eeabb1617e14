"""The settings page: drawn from the one list in `app.core.setting_list`."""
