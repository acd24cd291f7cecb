#!/usr/bin/env bash
# The GDC manifest of a project's diagnostic slides, open access, on standard output; asked of the GDC API.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

GDC_API=${GDC_API:-https://api.gdc.cancer.gov}

usage() {
    cat >&2 <<'USAGE'
usage: infra/datasets/make_gdc_manifest.sh [PROJECT] > gdc_manifest.txt

PROJECT is TCGA-COAD unless given. Columns id, filename, md5, size, state, as gdc-client reads them.
USAGE
}

# The filter in GDC's own query language (GDC API user's guide, "Search and Retrieval").
query() {
    local field separator=''
    printf '{"op":"and","content":['
    for field in "cases.project.project_id=$1" "data_type=Slide Image" "experimental_strategy=Diagnostic Slide" "access=open"; do
        printf '%s{"op":"in","content":{"field":"%s","value":["%s"]}}' "$separator" "${field%%=*}" "${field#*=}"
        separator=,
    done
    printf ']}'
}

main() {
    local project=${1:-TCGA-COAD} answer status bytes
    if (($# > 1)) || [[ ! $project =~ ^[A-Z0-9]+(-[A-Z0-9]+)*$ ]]; then
        usage
        exit 2
    fi
    need curl python3
    check_address "$GDC_API"
    work=$(mktemp -d) || fail 1 "no temporary folder can be made: set TMPDIR"
    answer=$work/answer
    trap 'rm -rf "$work"' EXIT
    secure_curl "$GDC_API/files" --stderr "$answer.said" --fail --location --retry 5 --get --output "$answer" \
        --data-urlencode "filters=$(query "$project")" --data format=JSON --data size=10000 \
        --data fields=file_id,file_name,md5sum,file_size,state
    status=$?
    ((status == 0)) || fail 1 "$GDC_API does not answer ($(tail -n 1 "$answer.said")): check the network, and run again"
    python3 "$here/gdc_manifest.py" make <"$answer" >"$answer.txt" || exit 1
    cat "$answer.txt"
    bytes=$(awk -F '\t' 'NR > 1 {sum += $4} END {printf "%.0f", sum}' "$answer.txt")
    say "$project: $(($(wc -l <"$answer.txt") - 1)) diagnostic slides, $(in_words "$bytes")"
}

main "$@"
