#!/usr/bin/env bash
# MHIST: annotations.csv and images.zip, from the two addresses that come with the access grant.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

usage() {
    cat >&2 <<'USAGE'
usage: infra/datasets/download_mhist.sh --to FOLDER|s3://BUCKET/PREFIX [--annotations ADDRESS] [--images ADDRESS]
                                        [--annotations-hash HEX] [--images-hash HEX]

Access is by form: https://bmirds.github.io/MHIST/. The grant names the addresses; they are secrets, so rather than as
arguments give them as MHIST_ANNOTATIONS_URL and MHIST_IMAGES_URL. HEX is an md5 or sha256, where the grant has one.
Without it the file's contents are checked (3,152 lines, 3,152 PNGs, the zip's own checksums), and its sha256 is pinned
in downloads.lock at the destination. images.zip stays a zip: the pipeline reads it as it is.
USAGE
}

main() {
    local destination='' annotations=${MHIST_ANNOTATIONS_URL:-} images=${MHIST_IMAGES_URL:-} annotations_hash='' images_hash=''
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --to | --annotations | --images | --annotations-hash | --images-hash) (($# > 1)) || fail 2 "$1 wants a value" ;;
        *) usage && fail 2 "'$1' is not understood" ;;
        esac
        case $1 in
        --to) destination=$2 ;;
        --annotations) annotations=$2 ;;
        --images) images=$2 ;;
        --annotations-hash) annotations_hash=$(as_hash "$2") || exit ;;
        --images-hash) images_hash=$(as_hash "$2") || exit ;;
        esac
        shift 2
    done
    [[ -n $annotations && -n $images ]] ||
        fail 2 "the addresses are missing: ask for access at https://bmirds.github.io/MHIST/," \
            "then set MHIST_ANNOTATIONS_URL and MHIST_IMAGES_URL"
    refused_advice="addresses of the access grant run out: ask for access again at https://bmirds.github.io/MHIST/"
    open_destination "$destination"
    take "$annotations" annotations.csv "$annotations_hash" '' 'holds mhist-annotations'
    take "$images" images.zip "$images_hash" '' 'holds mhist-images'
    say "MHIST is in $to"
}

main "$@"
