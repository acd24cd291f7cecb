#!/usr/bin/env bash
# TCGA-COAD: diagnostic slides by a GDC manifest, as <id>/<filename>, and the MSI labels of Liu et al. 2018.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

GDC_API=${GDC_API:-https://api.gdc.cancer.gov}
# Supplementary table 2 (mmc2) of Liu et al. 2018, Cancer Cell 33:721, doi 10.1016/j.ccell.2018.03.010. UNVERIFIED: the
# address is the one that other people's TCGA subtype tables cite; the publisher may move it, or refuse anything but a
# browser. Then save the file by hand and give it as --liu.
LIU_URL=${LIU_URL:-https://www.cell.com/cms/10.1016/j.ccell.2018.03.010/attachment/f1963baa-114d-4bb6-9595-0854aec15dbf/mmc2.xlsx}

usage() {
    cat >&2 <<'USAGE'
usage: infra/datasets/download_tcga_coad.sh --to FOLDER|s3://BUCKET/PREFIX [--manifest FILE] [--limit N]
                                            [--with curl|gdc-client] [--liu FILE | --no-liu]

Without --manifest one is made (make_gdc_manifest.sh): 459 slides, 264 GiB. --limit takes the N smallest, for a try. At
the end the destination has slides as <id>/<filename>, gdc_manifest.txt for exactly these (the pipeline's slides and
manifest) and liu.xlsx (its labels). gdc-client fetches where it is installed, curl otherwise; every md5 is checked.
USAGE
}

# As `fetch`, with gdc-client, which resumes and retries on its own.
gdc_fetch() {
    local file=$2 size=$3 name=$4 one=$work/.gdc/manifest.txt
    local whole=$work/.gdc/$name
    mkdir -p "$work/.gdc" || fail 1 "$work/.gdc cannot be made: see above"
    [[ ! -e $(dirname "$whole") ]] || resumed=yes
    awk -F '\t' -v id="$(dirname "$name")" 'NR == 1 || $1 == id' "$work/$ROWS" >"$one"
    gdc-client download --server "$GDC_API" --manifest "$one" --dir "$work/.gdc" --no-related-files --no-annotations >&2 8>&- ||
        fail 1 "$name: gdc-client failed (see above): run again, or use --with curl"
    mv -f -T -- "$whole" "$file" || fail 1 "$name: gdc-client ended and left no $whole: use --with curl (size ${size:-unknown})"
    rm -rf -- "$work/.gdc"
}

# What is still to come, in bytes: all of it in a folder; one slide at a time on the way to S3.
bytes_to_come() {
    local id filename size sum=0 largest=0
    while IFS=$'\t' read -r id filename _ size _; do
        ((size <= largest)) || largest=$size
        [[ $(size_of "$to/$id/$filename") == "$size" ]] || sum=$((sum + size))
    done < <(tail -n +2 "$work/$ROWS")
    [[ -n $bucket ]] && echo "$largest" || echo "$sum"
}

take_slides() {
    local id filename md5 size number=0 failed=0 in_a_row=0 status
    while IFS=$'\t' read -r id filename md5 size _ <&3; do
        say "[$((++number)) of $slides]"
        # One that fails does not keep the others waiting; what nothing can be done about, or three on end, ends it.
        (take "$GDC_API/data/$id" "$id/$filename" "md5:$md5" "$size")
        status=$?
        ((status == 0)) && in_a_row=0 && continue
        ((++failed))
        if ((status != 1 || ++in_a_row == 3)); then break; fi
    done 3< <(tail -n +2 "$work/$ROWS")
    ((failed == 0)) ||
        fail 1 "$failed slides failed (see above), $number of $slides were looked at: run again, it resumes"
}

# The manifest goes last: what it names is there.
put_manifest() {
    local hash
    hash=$(hash_of sha256 "$work/$ROWS")
    is_there gdc_manifest.txt "$hash" '' 2>/dev/null || deliver "$work/$ROWS" gdc_manifest.txt "$hash"
}

main() {
    local destination='' manifest='' limit=0 with='' liu=$LIU_URL
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --no-liu)
            liu=
            shift
            continue
            ;;
        --to | --manifest | --limit | --with | --liu) (($# > 1)) || fail 2 "$1 wants a value" ;;
        *) usage && fail 2 "'$1' is not understood" ;;
        esac
        case $1 in
        --to) destination=$2 ;;
        --manifest) manifest=$2 ;;
        --limit) limit=$2 ;;
        --with) with=$2 ;;
        --liu) liu=$(realpath -e -- "$2") || fail 2 "--liu $2 is no file" ;;
        esac
        shift 2
    done
    [[ $limit =~ ^[0-9]{1,6}$ ]] || fail 2 "--limit '$limit' is no number of slides"
    [[ -n $with ]] || { command -v gdc-client >/dev/null && with=gdc-client; } || with=curl
    [[ $with == curl || $with == gdc-client ]] || fail 2 "--with is curl or gdc-client, not '$with'"
    [[ $with == curl ]] || { need gdc-client && fetcher=gdc_fetch; }
    check_address "$GDC_API"
    open_destination "$destination"
    ROWS=.gdc_manifest.partial
    trap 'rm -f -- "$work/$ROWS" "$work/.gdc_manifest.made"' EXIT
    if [[ -z $manifest ]]; then
        manifest=$work/.gdc_manifest.made
        "$here/make_gdc_manifest.sh" TCGA-COAD >"$manifest" 8>&- || exit 1
    fi
    python3 "$here/gdc_manifest.py" rows "$manifest" "$((10#$limit))" >"$work/$ROWS" || exit 1
    slides=$(($(wc -l <"$work/$ROWS") - 1))
    need_space "$(bytes_to_come)"
    take_slides
    put_manifest
    if [[ -n $liu ]]; then
        refused_advice="open $LIU_URL in a browser, save it and give it as --liu FILE (slides are all there)"
        fetcher=fetch take "$liu" liu.xlsx '' '' 'holds workbook'
    fi
    say "TCGA-COAD is in $to: $slides slides"
}

main "$@"
