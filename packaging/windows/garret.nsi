; Installs Garret for one user, without administrator rights.
;   makensis -DVERSION=0.1.0 -DBUNDLE=..\..\dist\garret -DOUT=..\..\dist\Garret-0.1.0-setup.exe garret.nsi
Unicode true
!include "MUI2.nsh"
!ifndef VERSION
  !error "VERSION is not set"
!endif
!ifndef BUNDLE
  !define BUNDLE "..\..\dist\garret"
!endif
!ifndef OUT
  !define OUT "..\..\dist\Garret-${VERSION}-setup.exe"
!endif
!ifndef ICON
  !define ICON "..\..\build\made\garret.ico"
!endif
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\Garret"

Name "Garret"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\Garret"
InstallDirRegKey HKCU "Software\Garret" "InstallDir"
RequestExecutionLevel user
SetCompressor /SOLID lzma
ManifestDPIAware true
VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "Garret"
VIAddVersionKey "FileDescription" "Garret set-up"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "LegalCopyright" "Apache-2.0"

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_RUN "$INSTDIR\garret.exe"
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "German"

Function .onInit
  ; A running Garret holds its files open. Opening one for writing tells.
  IfFileExists "$INSTDIR\garret.exe" 0 free
    ClearErrors
    FileOpen $0 "$INSTDIR\garret.exe" a
    IfErrors 0 close
      IfSilent +2
      MessageBox MB_OK|MB_ICONINFORMATION "Garret is running. Close it and start the set-up again."
      SetErrorLevel 2
      Quit
    close:
      FileClose $0
  free:
FunctionEnd

Section "Garret"
  ; Files of an older version must not stay beside the new ones.
  RMDir /r "$INSTDIR\_internal"
  SetOutPath "$INSTDIR"
  File /r "${BUNDLE}\*.*"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\Garret.lnk" "$INSTDIR\garret.exe"
  WriteRegStr HKCU "Software\Garret" "InstallDir" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "Garret"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\garret.exe"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "The Garret authors"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1
SectionEnd

Section "Uninstall"
  ; Only what the set-up put there: chats and models are the user's.
  Delete "$SMPROGRAMS\Garret.lnk"
  RMDir /r "$INSTDIR\_internal"
  Delete "$INSTDIR\garret.exe"
  Delete "$INSTDIR\garret-cli.exe"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  DeleteRegKey HKCU "${UNINSTALL_KEY}"
  DeleteRegKey HKCU "Software\Garret"
SectionEnd
