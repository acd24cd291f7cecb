#!/usr/bin/env bash
# H-optimus-0: checkpoint.pth from Hugging Face, held to the sha256 that it states, and encoder.json beside it, which records
# repository, commit and that sha256: what lets jobs, reports and model versions call the encoder by its name.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

HF_ENDPOINT=${HF_ENDPOINT:-https://huggingface.co}
REPOSITORY=bioptimus/H-optimus-0
PYTHON=${PYTHON:-python3}

usage() {
    cat >&2 <<'USAGE'
usage: HF_TOKEN=… infra/datasets/download_h_optimus_0.sh --to FOLDER|s3://BUCKET/PREFIX [--revision COMMIT] [--record-origin]

Accept the terms at https://huggingface.co/bioptimus/H-optimus-0, make a token that may read, and put it in HF_TOKEN.
PYTHON is a Python with this project installed; it writes encoder.json, without which no pipeline takes the checkpoint.
--record-origin adds repository, commit and sha256 to an encoder.json of this checkpoint that has none. Code packed with model
versions of before cannot read it then: do so when none of them is deployed from this folder. Features stay as they are.
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

# encoder.json in FOLDER, by the hash that the Hub states.
describe() {
    "$PYTHON" -m pathology.encoders.describe "$1" --repository "$REPOSITORY" --revision "$commit" --sha256 "$sha256" >&2
}

# As a CHECK of take, on the way to S3: the one moment at which the whole checkpoint is on this machine.
# What goes wrong is said and takes nothing back: the checkpoint is whole.
describe_on_the_way() {
    ln -f "$1" "$described/checkpoint.pth" && describe "$described"
    rm -f -- "$described/checkpoint.pth"
}

# Sets $described, the folder in which encoder.json is written, and $card, what lies at the destination: '' none of this
# checkpoint, 'recorded' one with its origin, 'unrecorded' one without.
look_at_card() {
    described=$to card=''
    if [[ -n $bucket ]]; then
        described=$work/.encoder
        mkdir -p "$described" && rm -f -- "$described/encoder.json"
        if find_object encoder.json; then
            aws s3 cp "s3://$bucket/${prefix}encoder.json" - --only-show-errors >"$described/encoder.json" ||
                fail 1 "s3://$bucket/${prefix}encoder.json cannot be read (see above): check s3:GetObject"
        fi
    fi
    [[ -f $described/encoder.json ]] || return 0
    card=$(python3 - "$described/encoder.json" "$sha256" 2>/dev/null <<'PYTHON'
import json, sys
manifest = json.load(open(sys.argv[1], encoding="utf-8"))
if manifest["sha256"] == sys.argv[2]:
    print("recorded" if manifest.get("source") else "unrecorded")
PYTHON
    ) || card=''
    [[ -z $bucket || -n $card ]] || rm -f -- "$described/encoder.json" # another checkpoint's
}

# encoder.json is ours, not the Hub's: it records the sha256 just checked, which jobs check again.
put_card() {
    if [[ $card == recorded || ($card == unrecorded && -z $record_origin) ]]; then
        say "encoder.json: there already"
        [[ $card == recorded ]] ||
            say "encoder.json records no origin, so that reports call the encoder not verified: see --record-origin in --help"
        return
    fi
    if [[ -n $bucket && -z $card && ! -f $described/encoder.json ]] || ! can_describe; then
        say "encoder.json is missing: where this project is installed, with checkpoint.pth in FOLDER, run" \
            "'python -m pathology.encoders.describe FOLDER --repository $REPOSITORY --revision $commit --sha256 $sha256'" \
            "and copy FOLDER/encoder.json to $to"
        return
    fi
    if [[ -z $bucket || -n $card ]]; then
        describe "$described" || fail 1 "encoder.json could not be written (see above): more memory may be needed"
    fi
    [[ -z $bucket ]] || deliver "$described/encoder.json" encoder.json "$(hash_of sha256 "$described/encoder.json")"
}

main() {
    local destination='' revision=main record_origin='' on_the_way=''
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --record-origin) record_origin=yes && shift && continue ;;
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
    look_at_card
    [[ -z $bucket || -n $card ]] || ! can_describe || on_the_way=describe_on_the_way
    is_there checkpoint.pth "sha256:$sha256" "$size" || need_space "$size"
    # By commit: what is fetched is what was described, whatever happens to the branch meanwhile.
    take "$HF_ENDPOINT/$REPOSITORY/resolve/$commit/checkpoint.pth" checkpoint.pth "sha256:$sha256" "$size" \
        "$on_the_way"
    put_card
    say "H-optimus-0 is in $to"
}

main "$@"
