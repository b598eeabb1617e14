# Installs silently, runs the self-test, uninstalls, and looks for anything left behind.
param([Parameter(Mandatory)] [string] $Installer)
$ErrorActionPreference = "Stop"
$target = Join-Path $env:LOCALAPPDATA "Programs\Garret"
$install = Start-Process $Installer "/S" -Wait -PassThru
if ($install.ExitCode) { throw "The installer ended with $($install.ExitCode)." }
$env:GARRET_HOME = Join-Path $env:RUNNER_TEMP "garret-home"
& (Join-Path $target "garret-cli.exe") --self-test
if ($LASTEXITCODE) { throw "The self-test failed." }
$uninstall = Start-Process (Join-Path $target "uninstall.exe") "/S" -Wait -PassThru
if ($uninstall.ExitCode) { throw "The uninstaller ended with $($uninstall.ExitCode)." }
Start-Sleep -Seconds 5 # the uninstaller goes on from a copy of itself
if (Test-Path $target) { throw "Files are left in $target." }
if (Test-Path "HKCU:\Software\Garret") { throw "A registry key is left." }
if (Test-Path (Join-Path $env:APPDATA "Microsoft\Windows\Start Menu\Programs\Garret.lnk")) {
    throw "The menu entry is left."
}
