# Signs programs with the certificate in CERTIFICATE (pfx, base64). Without one it says so and stops.
param([Parameter(Mandatory, ValueFromRemainingArguments)] [string[]] $Files)
$ErrorActionPreference = "Stop"
if (-not $env:CERTIFICATE) {
    Write-Warning "No certificate: $($Files -join ', ') stay unsigned."
    exit 0
}
$pfx = Join-Path $env:RUNNER_TEMP "certificate.pfx"
try {
    [IO.File]::WriteAllBytes($pfx, [Convert]::FromBase64String($env:CERTIFICATE))
    $secret = ConvertTo-SecureString $env:PASSWORD -AsPlainText -Force
    $certificate = Get-PfxCertificate -FilePath $pfx -Password $secret
    foreach ($file in $Files) {
        $signed = Set-AuthenticodeSignature -FilePath $file -Certificate $certificate `
            -HashAlgorithm SHA256 -TimestampServer "http://timestamp.digicert.com"
        if ($signed.Status -ne "Valid") { throw "${file}: $($signed.StatusMessage)" }
    }
}
finally {
    Remove-Item $pfx -ErrorAction SilentlyContinue
}
