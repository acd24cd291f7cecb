#!/usr/bin/env bash
# H-optimus-0: checkpoint.pth from Hugging Face, held to the sha256 that it states, and encoder.json beside it.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

HF_ENDPOINT=${HF_ENDPOINT:-https://huggingface.co}
REPOSITORY=bioptimus/H-optimus-0
PYTHON=${PYTHON:-python3}

usage() {
    cat >&2 <<'USAGE'
usage: HF_TOKEN=… infra/datasets/download_h_optimus_0.sh --to FOLDER|s3://BUCKET/PREFIX [--revision COMMIT]

Accept the terms at https://huggingface.co/bioptimus/H-optimus-0, make a token that may read, and put it in HF_TOKEN.
PYTHON is a Python with this project installed; it writes encoder.json, without which no pipeline takes the checkpoint.
USAGE
}

# One line NAME of the answer's header, lower case.
header_of() { tr -d '\r' <"$work/.headers" | awk -v name="$1:" 'tolower($1) == name {print tolower($2)}' | tr -d '"' | tail -n 1; }

# Sets $sha256, $size and $commit. They are on the Hub's own answer, not on that of the store it leads to: not followed.
ask_hub() {
    local http status failures=0
    while true; do
        http=$(secure_curl "$1" --stderr "$work/.said" --head --output "$work/.headers" --write-out '%{http_code}')
        status=$?
        said=$(tr -s '\n' ' ' <"$work/.said")
        ((status != 0 || http < 400)) || status=22
        ((status == 0)) && break
        judge "$status" "$http" checkpoint.pth "$said" || fail 1 "checkpoint.pth: the Hub answers $http: check --revision"
        ((++failures < DOWNLOAD_TRIES)) || fail 1 "checkpoint.pth: given up after $failures tries ($http $said): run again"
        sleep "$(pause_after "$failures")"
    done
    sha256=$(header_of x-linked-etag) size=$(header_of x-linked-size) commit=$(header_of x-repo-commit)
    rm -f -- "$work/.headers" "$work/.said"
    [[ $sha256 =~ ^[0-9a-f]{64}$ && $size =~ ^[1-9][0-9]*$ && $commit =~ ^[0-9a-f]{40}$ ]] ||
        fail 1 "checkpoint.pth: the Hub states no sha256, size and commit ('$sha256', '$size', '$commit'):" \
            "nothing was taken; look at $HF_ENDPOINT/$REPOSITORY"
}

can_describe() { "$PYTHON" -c 'import pathology.encoders.describe, timm, torch' 2>/dev/null; }

# As a CHECK of take, on the way to S3: the one moment at which the whole checkpoint is on this machine.
describe_on_the_way() {
    local folder=$work/.encoder
    can_describe || return 0
    mkdir -p "$folder" && ln -f "$1" "$folder/checkpoint.pth" && "$PYTHON" -m pathology.encoders.describe "$folder" >&2
    rm -f -- "$folder/checkpoint.pth"
}

# encoder.json is ours, not the Hub's: it records the sha256 just checked, which jobs check again.
put_card() {
    local manifest=$work/.encoder/encoder.json
    if [[ -n $bucket && -f $manifest ]]; then
        deliver "$manifest" encoder.json "$(hash_of sha256 "$manifest")"
    elif [[ -n $bucket ]] && find_object encoder.json; then
        say "encoder.json: there already"
    elif [[ -z $bucket && -f $to/encoder.json ]] && grep -q "$sha256" "$to/encoder.json"; then
        say "encoder.json: there already"
    elif [[ -z $bucket ]] && can_describe; then
        "$PYTHON" -m pathology.encoders.describe "$to" >&2 ||
            fail 1 "encoder.json could not be written (see above): more memory may be needed"
    else
        say "encoder.json is missing: where this project is installed, with checkpoint.pth in FOLDER, run" \
            "'python -m pathology.encoders.describe FOLDER' and copy FOLDER/encoder.json to $to"
    fi
}

main() {
    local destination='' revision=main
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --to | --revision) (($# > 1)) || fail 2 "$1 wants a value" ;;
        *) usage && fail 2 "'$1' is not understood" ;;
        esac
        case $1 in
        --to) destination=$2 ;;
        --revision) revision=$2 ;;
        esac
        shift 2
    done
    [[ $revision =~ ^[A-Za-z0-9._-]+$ ]] || fail 2 "--revision '$revision' is no commit or branch"
    [[ ${HF_TOKEN:-} =~ ^[A-Za-z0-9_-]+$ ]] ||
        fail 2 "HF_TOKEN is not set, or is no token: make one at https://huggingface.co/settings/tokens"
    check_address "$HF_ENDPOINT"
    bearer=$HF_TOKEN
    unset HF_TOKEN # the tools called from here on need not know it
    refused_advice="accept the terms at https://huggingface.co/$REPOSITORY with HF_TOKEN's account; the token must be able to read"
    open_destination "$destination"
    ask_hub "$HF_ENDPOINT/$REPOSITORY/resolve/$revision/checkpoint.pth"
    say "checkpoint.pth: $(in_words "$size"), sha256 $sha256, commit $commit"
    is_there checkpoint.pth "sha256:$sha256" "$size" || need_space "$size"
    # By commit: what is fetched is what was described, whatever happens to the branch meanwhile.
    take "$HF_ENDPOINT/$REPOSITORY/resolve/$commit/checkpoint.pth" checkpoint.pth "sha256:$sha256" "$size" \
        "${bucket:+describe_on_the_way}"
    put_card
    say "H-optimus-0 is in $to"
}

main "$@"
