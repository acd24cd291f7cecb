# shellcheck shell=bash
# Sourced by the download scripts beside it: take a file from an https address to a folder or to S3.
#
# A file has its final name only when it is whole and its hash is right. Until then it is a hidden .partial, which the
# next run goes on with: beside it, or on the way to S3 below DOWNLOAD_SCRATCH (or TMPDIR, or /var/tmp). What is there and
# right is not taken again. TLS is never weakened: ~/.curlrc is not read, http is refused in redirects too; another
# authority is trusted through CURL_CA_BUNDLE, as curl does.
#
# A hash is md5:… or sha256:…. A file for which nobody publishes one is pinned: its sha256 is written to downloads.lock
# at the destination the first time, and every later run holds it to that.

DOWNLOAD_TRIES=${DOWNLOAD_TRIES:-6}                         # in a row without a byte of progress
DOWNLOAD_PAUSE_SECONDS=${DOWNLOAD_PAUSE_SECONDS:-2}         # after the first failure; doubled each time, 60 at most
DOWNLOAD_STALL_SECONDS=${DOWNLOAD_STALL_SECONDS:-60}        # below 1 kB/s for so long is given up, and resumed
DOWNLOAD_PROGRESS_SECONDS=${DOWNLOAD_PROGRESS_SECONDS:-10}  # between two lines about the bytes so far
LOCK=downloads.lock
CHECKED=.downloads.checked # hash, size and time of each file checked in a folder: 264 GiB are not hashed at every run
here=$(dirname "${BASH_SOURCE[0]}")
bearer=                    # a token for the address's own host; curl does not hand it on to another one
refused_advice="check the address and your access to it"

say() { printf '%s\n' "$*" >&2; }

# fail CODE WHAT…: one line, and the end. 1: what was fetched or the network, 2: what was asked for.
fail() {
    local code=$1 line
    shift
    line=$*
    say "error: ${line//$'\n'/ }"
    exit "$code"
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail 2 "$tool is not on the PATH: install it"
    done
}

# ------------------------------------------------------------------------------------------------ the destination

# open_destination FOLDER|s3://BUCKET[/PREFIX]: sets $to, $bucket and $prefix, and $work for what is not whole yet.
open_destination() {
    to=${1%/} bucket='' prefix=''
    need curl python3 md5sum sha256sum flock
    [[ -n $to ]] || fail 2 "--to is missing: give a folder, on EFS for instance, or s3://bucket/prefix"
    if [[ $to == s3:* ]]; then
        [[ $to =~ ^s3://([a-z0-9][a-z0-9.-]+[a-z0-9])(/[A-Za-z0-9/_.=-]+)?$ ]] || fail 2 "--to '$to' is not s3://bucket/prefix"
        bucket=${BASH_REMATCH[1]} prefix=${BASH_REMATCH[2]:+${BASH_REMATCH[2]#/}/}
        need aws
        # Named after the destination, so that the next run finds what this one leaves.
        work=${DOWNLOAD_SCRATCH:-${TMPDIR:-/var/tmp}}/pathology-download-$(sha256sum <<<"$to" | cut -c 1-16)
        (umask 077 && mkdir -p "$work")
        [[ -O $work ]] || fail 2 "$work cannot be made or is somebody else's: set DOWNLOAD_SCRATCH"
    else
        # The last level only: on a notebook without its EFS mounted, mkdir -p would fill the local disk instead.
        [[ -d $(dirname "$to") ]] || fail 2 "there is no folder $(dirname "$to"): make it first (is EFS mounted?)"
        [[ -d $to ]] || mkdir "$to" || fail 2 "$to cannot be made: give a folder you may write to"
        work=$to
    fi
    exec 8>"$work/.downloads.busy" || fail 2 "$work cannot be written: give a folder you may write to"
    flock -n 8 || fail 1 "another download to $to is under way: wait for it"
    read_pins
}

# need_space BYTES: refuses what would not fit where files are put together.
need_space() {
    local free
    free=$(df -Pk "$work" | awk 'NR == 2 {printf "%.0f", $4 * 1024}')
    ((${free:-0} >= $1)) ||
        fail 2 "$work has $(in_words "${free:-0}") free and $(in_words "$1") are needed:" \
            "make room there, ${bucket:+set DOWNLOAD_SCRATCH to }another folder, or take less"
}

in_words() {
    awk -v bytes="$1" 'BEGIN {
        if (bytes < 1e6) print bytes " bytes"
        else if (bytes < 1e9) printf "%.1f MB\n", bytes / 1e6
        else printf "%.1f GB\n", bytes / 1e9
    }'
}

size_of() { stat -c %s -- "$1" 2>/dev/null || echo 0; }

# hash_of md5|sha256 FILE
hash_of() {
    local line
    line=$("${1}sum" <"$2") || return 1
    printf '%s:%s\n' "$1" "${line%% *}"
}

# Sets $found_size and $found_hash (empty where another tool put it there); 1 when there is no such object.
find_object() {
    local answer problem
    problem=$work/.aws.said
    if answer=$(aws s3api head-object --bucket "$bucket" --key "$prefix$1" \
        --query '[ContentLength, Metadata."pathology-hash"]' --output text 2>"$problem"); then
        read -r found_size found_hash <<<"$answer"
        return 0
    fi
    grep -q '(404)\|NoSuchKey\|Not Found' "$problem" && return 1
    fail 1 "S3 does not say whether s3://$bucket/$prefix$1 is there: $(tr -s '\n' ' ' <"$problem")"
}

# The line of $CHECKED about a file of the destination: changed since means another line.
line_of() { printf '%s\t%s\t%s\n' "$2" "$(stat -c '%s %Y' -- "$to/$1")" "$1"; }

# is_there NAME HASH SIZE: whether the destination has it already. An empty SIZE is any.
is_there() {
    local name=$1 hash=$2 size=$3 found
    if [[ -n $bucket ]]; then
        find_object "$name" && [[ $found_hash == "$hash" && ${size:-$found_size} == "$found_size" ]]
        return
    fi
    [[ -f $to/$name ]] || return 1
    grep -qxF -- "$(line_of "$name" "$hash")" "$to/$CHECKED" 2>/dev/null && return 0
    say "$name: is there, checking it"
    found=$(hash_of "${hash%%:*}" "$to/$name")
    if [[ $found != "$hash" ]]; then
        say "$name: what is there is not it (${found:-unreadable}): it is replaced"
        return 1
    fi
    line_of "$name" "$hash" >>"$to/$CHECKED"
}

# deliver FILE NAME HASH: to its final name, in one step.
deliver() {
    local file=$1 name=$2 hash=$3 size
    size=$(size_of "$file")
    if [[ -z $bucket ]]; then
        sync "$file" 2>/dev/null || sync
        mv -f -T -- "$file" "$to/$name" || fail 1 "$to/$name cannot be written: see above"
        line_of "$name" "$hash" >>"$to/$CHECKED"
        return
    fi
    say "$name: to s3://$bucket/$prefix$name"
    aws s3 cp "$file" "s3://$bucket/$prefix$name" --metadata "pathology-hash=$hash" --only-show-errors >&2 ||
        fail 1 "$name did not reach s3://$bucket/$prefix (see above): check s3:PutObject and kms:GenerateDataKey, and run again"
    find_object "$name" || found_hash=
    [[ $found_hash == "$hash" && $found_size == "$size" ]] ||
        fail 1 "s3://$bucket/$prefix$name is not what was sent: somebody else writes there; run again"
    rm -f -- "$file"
}

read_pins() {
    pins=
    if [[ -z $bucket ]]; then
        [[ ! -f $to/$LOCK ]] || pins=$(<"$to/$LOCK")
    elif find_object "$LOCK"; then
        pins=$(aws s3 cp "s3://$bucket/$prefix$LOCK" - --only-show-errors) ||
            fail 1 "s3://$bucket/$prefix$LOCK cannot be read (see above): check s3:GetObject"
    fi
}

pin_of() { awk -F '\t' -v name="$1" '$2 == name {print $1}' <<<"$pins"; }

pin() {
    local new=$work/.$LOCK.new
    say "$1: nobody publishes its hash; pinned as $2 in $LOCK, and held to it from now on"
    pins=${pins:+$pins$'\n'}$2$'\t'$1
    printf '%s\n' "$pins" >"$new" || fail 1 "$new cannot be written: see above"
    if [[ -z $bucket ]]; then
        mv -f -T -- "$new" "$to/$LOCK" || fail 1 "$to/$LOCK cannot be written: see above"
    else
        aws s3 cp "$new" "s3://$bucket/$prefix$LOCK" --only-show-errors >&2 || fail 1 "$LOCK did not reach $to: see above"
        rm -f -- "$new"
    fi
}

# ---------------------------------------------------------------------------------------------------- the transfer

# What curl is not told on its command line, which every user of the machine can read.
curl_config() {
    printf 'url = "%s"\n' "$1"
    [[ -z $bearer ]] || printf 'header = "Authorization: Bearer %s"\n' "$bearer"
}

check_address() {
    [[ $1 =~ ^https://[^[:space:]\"\\]+$ ]] || fail 2 "'${1%%\?*}' is not an https address: only https is taken"
}

# secure_curl ADDRESS OPTIONS…
secure_curl() {
    local address=$1
    shift
    curl -q --silent --show-error --proto '=https' --proto-redir '=https' --tlsv1.2 --connect-timeout 20 \
        --speed-limit 1000 --speed-time "$DOWNLOAD_STALL_SECONDS" --config <(curl_config "$address") "$@"
}

report_progress() {
    local now
    while sleep "$DOWNLOAD_PROGRESS_SECONDS" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        now=$(size_of "$1")
        say "$2: $(in_words "$now")${3:+ of $(in_words "$3")}"
    done
}

# judge STATUS HTTP NAME SAID: returns for what another try may fix, 1 when it has to start over; fails for the rest.
judge() {
    case $1:$2 in
    22:416 | 33:*) return 1 ;; # nothing to go on with, or a server that cannot
    22:408 | 22:429 | 22:5??) return 0 ;;
    22:401 | 22:403) fail 1 "$3: refused ($2): $refused_advice" ;;
    22:404 | 22:410) fail 1 "$3: not there ($2): check the address" ;;
    22:*) fail 1 "$3: the server answers $2: check the address" ;;
    60:* | 77:*) fail 1 "$3: the server's certificate is not trusted: check the address, or CURL_CA_BUNDLE behind a proxy" ;;
    1:*) fail 1 "$3: leads to something that is not https: nothing was taken" ;;
    23:*) fail 1 "$3: cannot be written to $work (is the disk full?)" ;;
    5:* | 6:* | 7:* | 16:* | 18:* | 28:* | 35:* | 52:* | 55:* | 56:* | 92:*) return 0 ;;
    *) fail 1 "$3: ${4:-curl stopped with $1}" ;;
    esac
}

# pause_after FAILURES: seconds, doubled each time.
pause_after() {
    local pause=$((DOWNLOAD_PAUSE_SECONDS << ($1 < 8 ? $1 - 1 : 7)))
    echo $((pause < 60 ? pause : 60))
}

# fetch ADDRESS FILE SIZE NAME: until FILE is whole. $resumed says whether some of it was from before.
fetch() {
    local address=$1 file=$2 size=$3 name=$4 failures=0 before http status reporter said pause
    while true; do
        before=$(size_of "$file")
        if [[ -n $size ]] && ((before >= size)); then
            ((before == size)) && ((size > 0)) && return
            rm -f -- "$file" && before=0
        fi
        ((before == 0)) || resumed=yes
        report_progress "$file" "$name" "$size" 8>&- &
        reporter=$!
        http=$(secure_curl "$address" --stderr "$file.said" --fail --location --max-redirs 5 --continue-at - \
            --output "$file" --write-out '%{http_code}')
        status=$?
        { kill "$reporter" && wait "$reporter"; } 2>/dev/null
        said=$(tr -s '\n' ' ' <"$file.said" 2>/dev/null)
        rm -f -- "$file.said"
        ((status == 0)) && return
        if ! judge "$status" "$http" "$name" "$said"; then
            rm -f -- "$file"
        elif (($(size_of "$file") > before)); then
            failures=0
        fi
        ((++failures < DOWNLOAD_TRIES)) ||
            fail 1 "$name: given up after $failures tries ($said): run again, it resumes"
        pause=$(pause_after "$failures")
        say "$name: ${said:-curl stopped with $status}; once more in $pause s, from $(in_words "$(size_of "$file")")"
        sleep "$pause"
    done
}

# holds KIND FILE: a CHECK for take, on what is in the file; contents.py has the kinds.
holds() { python3 "$here/contents.py" "$@"; }

# verify FILE HASH SIZE CHECK: prints what is wrong with it.
verify() {
    local file=$1 hash=$2 size=$3 check=$4 found
    found=$(size_of "$file")
    if [[ -n $size && $found != "$size" ]]; then
        echo "has $found bytes and should have $size"
        return 1
    fi
    if [[ -n $hash ]]; then
        found=$(hash_of "${hash%%:*}" "$file")
        [[ $found == "$hash" ]] || { echo "is $found and should be $hash" && return 1; }
    fi
    [[ -z $check ]] || $check "$file"
}

# take ADDRESS NAME HASH SIZE [CHECK]: an empty HASH is the pin's; CHECK, given the file, prints what is wrong in it.
# ADDRESS may also be the path of a file. $fetcher fetches, as `fetch` does.
take() {
    local address=$1 name=$2 hash=${3,,} size=$4 check=${5:-} pinned=yes file problem
    if [[ -z $hash ]]; then
        hash=$(pin_of "$name")
        [[ -n $hash ]] || pinned=no
    fi
    if [[ -n $hash ]] && is_there "$name" "$hash" "$size"; then
        say "$name: there already"
        return
    fi
    [[ $address == /* ]] || check_address "$address"
    file=$work/$(dirname "$name")/.$(basename "$name").partial
    mkdir -p "$(dirname "$file")" || fail 1 "$(dirname "$file") cannot be made: see above"
    while true; do
        say "$name: ${size:+$(in_words "$size") }from ${address%%\?*}"
        resumed=no
        if [[ $address == /* ]]; then
            cp -f -- "$address" "$file" || fail 1 "$address cannot be copied: see above"
        else
            "${fetcher:-fetch}" "$address" "$file" "$size" "$name"
        fi
        problem=$(verify "$file" "$hash" "$size" "$check") && break
        rm -f -- "$file"
        rmdir "$(dirname "$file")" 2>/dev/null
        [[ $resumed == yes ]] || fail 1 "$name: $problem: nothing was kept; ask where it comes from, or run again"
        say "$name: $problem; the part from before may be the reason: once more from the start"
        mkdir -p "$(dirname "$file")"
    done
    [[ -n $hash ]] || hash=$(hash_of sha256 "$file")
    [[ $pinned == yes ]] || pin "$name" "$hash"
    deliver "$file" "$name" "$hash"
    say "$name: done, $hash"
}

# as_hash HEX: with its kind in front, by its length.
as_hash() {
    case ${1,,} in
    '') ;;
    *[!0-9a-f]*) fail 2 "'$1' is no md5 or sha256" ;;
    *) case ${#1} in
        32) echo "md5:${1,,}" ;;
        64) echo "sha256:${1,,}" ;;
        *) fail 2 "'$1' is no md5 (32 digits) or sha256 (64)" ;;
        esac ;;
    esac
}
