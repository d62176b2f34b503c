#!/bin/sh
# Prints the first Python that fits (3.11 to 3.13) of $PYTHON, python3 and the versioned names; says what is needed when there is none.
case "$(uname -s)" in
MINGW* | MSYS* | CYGWIN*)
    echo "Windows itself is not supported: use WSL2, and run make inside it" >&2
    exit 2
    ;;
esac
seen=""
for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    found="$(command -v "$name")" || continue
    version="$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
    case "$version" in
    3.11 | 3.12 | 3.13)
        echo "$found"
        exit 0
        ;;
    esac
    seen="$seen $found ($version)"
done
echo "Python 3.11, 3.12 or 3.13 needed; found:${seen:- none}" >&2
echo "  next: install one: apt-get install python3 python3-venv (Debian 12), brew install python@3.11 (macOS); or name it: make setup PYTHON=/path/to/python3.11" >&2
exit 2
