"""Temperatures for visitors from abroad."""


def to_fahrenheit(celsius):
    """Degrees Fahrenheit for degrees Celsius."""
    return celsius * 9 / 5 - 32


def weather_line(city, celsius):
    """One line for the notice board."""
    return f"{city}: {celsius} °C ({to_fahrenheit(celsius):.0f} °F)"
