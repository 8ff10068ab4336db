"""Say what a report of pip-audit means: `audit_verdict.py LOCK REPORT`.

Exit status 1 for a vulnerability, whatever else could not be looked up. What was not looked up,
because there is no network or no report, is told and fails nothing.
"""

import json
import sys
from pathlib import Path


def verdict(lock: str, report: Path) -> tuple[list[str], list[str]]:
    """Return the findings and the warnings, as lines."""
    if not report.exists():
        return [], [f"{lock} was not audited: the advisories cannot be reached ({report.stem}.log)"]
    packages = json.loads(report.read_text())["dependencies"]
    findings = [
        f"{lock}: {package['name']} {package['version']} has {each['id']}"
        f" ({', '.join(each['aliases']) or 'no alias'}), fixed in"
        f" {', '.join(each['fix_versions']) or 'no version'}"
        for package in packages
        for each in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if not skipped:
        return findings, []
    names = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
    count = f"{len(skipped)} of {len(packages)} packages were not audited"
    return findings, [f"{lock}: {count}, nobody knows them: {names}"]


def main() -> int:
    """Print the verdict; return the exit status."""
    findings, warnings = verdict(sys.argv[1], Path(sys.argv[2]))
    for line in (*findings, *(f"warning: {warning}" for warning in warnings)):
        sys.stderr.write(f"{line}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
