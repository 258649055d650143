#!/bin/sh
# The main job with the installed wheel, in an empty folder, so that nothing comes from the checkout.
# usage: tests/wheel_job.sh FOLDER   (FOLDER holds venv/, gallery/ and query/)
set -eu
folder=$(cd "$1" && pwd)
bin=$folder/venv/bin
models=$(cd "$(dirname "$0")/../autoreid_deploy/models" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$folder/gallery" "$work/gallery"
query=$(ls "$folder"/query/*.jpg | head -n 1)
cd "$work"
unset PYTHONPATH REID_INDEX

for package in torch onnx; do
    if "$bin/python" -c "import $package" 2>/dev/null; then
        echo "error: $package is installed with the runtime" >&2
        exit 1
    fi
done
"$bin/reid-index" build gallery/
"$bin/reid-query" "$query" -k 3 --json > answer.json
"$bin/reid-index" doctor
"$bin/reid-eval" gallery/ --json > scores.json
# Every model of the checkout is in the wheel, and runs from there by its name.
"$bin/reid-index" models --json > models.json
names=$("$bin/python" -c 'import json; print(*sorted(row["name"] for row in json.load(open("models.json"))))')
here=$(cd "$models" && ls -- *.onnx | sed 's/\.onnx$//' | LC_ALL=C sort | tr '\n' ' ')
[ "$names " = "$here" ] || { echo "error: the wheel holds the models '$names', the checkout '$here'" >&2; exit 1; }
for name in $names; do
    "$bin/reid-index" build gallery/ --index "of-$name" --model "$name" > /dev/null
    "$bin/reid-query" "$query" --index "of-$name" -k 1 > /dev/null
done
"$bin/python" - <<'PYTHON'
import json
from pathlib import Path

import autoreid_deploy

assert "site-packages" in autoreid_deploy.__file__, autoreid_deploy.__file__
[answer] = json.loads(Path("answer.json").read_text())
found = [hit["pid"] for hit in answer["hits"]]
assert answer["pid"] in found, f"person {answer['pid']} is not among the first {len(found)}: {found}"
scores = json.loads(Path("scores.json").read_text())
assert scores["rank1"] > 0.5, scores
print("wheel: built, installed without torch, and found person", answer["pid"])
PYTHON
