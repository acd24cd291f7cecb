#!/usr/bin/env bash
# Lizard as the CoNIC challenge published it: images.npy, labels.npy, counts.csv, patch_info.csv (CC BY-NC-SA 4.0).
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

usage() {
    cat >&2 <<'USAGE'
usage: infra/datasets/download_lizard.sh --to FOLDER|s3://BUCKET/PREFIX --from FOLDER|ADDRESS

The challenge gives the four files to people who sign in: https://conic-challenge.grand-challenge.org/Data/. They lie on
a shared drive that wants a browser (UNVERIFIED: other projects name the Google Drive folder
1il9jG7uA4-ebQ_lNmXbbF2eOK9uNwheb). So save them with a browser and give the FOLDER as --from, or put them behind an https
ADDRESS of your own, under which they have these names; a query such as ?signature=… is kept. Nobody publishes their
hashes: shapes, types and line counts are checked (4,981 patches), and their sha256 are pinned in downloads.lock.
The zips of https://warwick.ac.uk/fac/cross_fac/tia/data/lizard/ are another form of Lizard, which this project does not read.
USAGE
}

main() {
    local destination='' from='' query='' file
    declare -A kinds=([patch_info.csv]=conic-patches [counts.csv]=conic-counts [labels.npy]=conic-labels [images.npy]=conic-images)
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --to | --from) (($# > 1)) || fail 2 "$1 wants a value" ;;
        *) usage && fail 2 "'$1' is not understood" ;;
        esac
        case $1 in
        --to) destination=$2 ;;
        --from) from=$2 ;;
        esac
        shift 2
    done
    [[ -n $from ]] ||
        fail 2 "--from is missing: save the files of https://conic-challenge.grand-challenge.org/Data/ and give their folder"
    if [[ $from == *://* ]]; then
        check_address "$from"
        [[ $from != *\?* ]] || query="?${from#*\?}"
        from=${from%%\?*}
    else
        from=$(realpath -e -- "$from") || fail 2 "--from: there is no such folder"
        for file in "${!kinds[@]}"; do
            [[ -f $from/$file ]] || fail 2 "$from has no $file: save all four of ${!kinds[*]}"
        done
    fi
    open_destination "$destination"
    for file in patch_info.csv counts.csv labels.npy images.npy; do
        take "${from%/}/$file$query" "$file" '' '' "holds ${kinds[$file]}"
    done
    say "Lizard is in $to"
}

main "$@"
