#!/bin/bash
# Notebook lifecycle, at each start: mount EFS and make its directories that training jobs name.
#
# SageMaker gives this 5 minutes, or the notebook does not start; a mount that nobody answers hangs for longer. So a
# worker is left behind, the start goes on at once, and what the worker did is in EFS_LOG. Whatever happens, exit 0.
#
# The template writes `export` lines before this: EFS_ID and AWS_REGION, and any of the others below to change them.
# shellcheck disable=SC2329  # the functions run in the worker
EFS_DIRECTORIES=${EFS_DIRECTORIES:-/models /datasets /features}
EFS_MOUNT_POINT=${EFS_MOUNT_POINT:-/home/ec2-user/SageMaker/efs}
EFS_OWNER=${EFS_OWNER:-ec2-user}
EFS_LOG=${EFS_LOG:-/var/log/efs-mount.log}
EFS_LOCK=${EFS_LOCK:-/run/efs-mount.lock}
EFS_TRY_SECONDS=${EFS_TRY_SECONDS:-60}      # one mount may take this long
EFS_PAUSE_SECONDS=${EFS_PAUSE_SECONDS:-15}  # between two tries
EFS_GIVE_UP_SECONDS=${EFS_GIVE_UP_SECONDS:-1800}
# What AWS recommends for EFS without its mount helper (EFS user guide, "Recommended NFS mount settings").
EFS_OPTIONS=nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport
[[ $AWS_REGION == cn-* ]] && EFS_DOMAIN=amazonaws.com.cn || EFS_DOMAIN=amazonaws.com
EFS_SOURCE=$EFS_ID.efs.$AWS_REGION.$EFS_DOMAIN:/

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }

# Every command that may touch the network share runs under timeout, and without the lock: one that even SIGKILL does
# not end must not keep the next worker out.
within() { timeout -k 5 "$@" 9>&-; }

check_values() {
    if [[ ! $EFS_ID =~ ^fs-[0-9a-f]{8,17}$ ]]; then
        say "error: EFS_ID '$EFS_ID' is no file-system id (fs-...): correct it in the lifecycle configuration"
    elif [[ ! $AWS_REGION =~ ^[a-z]{2,}(-[a-z]+)+-[0-9]+$ ]]; then
        say "error: AWS_REGION '$AWS_REGION' is no region: correct it in the lifecycle configuration"
    elif [[ $EFS_MOUNT_POINT != /?* ]]; then
        say "error: EFS_MOUNT_POINT '$EFS_MOUNT_POINT' is no absolute path: correct it in the lifecycle configuration"
    else
        return 0
    fi
    return 1
}

# What a person has to look at, from the exit status of mount under timeout and what mount said.
advice() {
    case "$1 $2" in
    124* | 137* | *"timed out"*) echo "no answer: do the security groups let port 2049 through from the notebook to EFS?" ;;
    *esolve* | *"not known"*) echo "its name is unknown: is EFS_ID right, is there a mount target in this zone, is DNS on in the VPC?" ;;
    *denied* | *"not permitted"*) echo "refused: does the file-system policy demand TLS or IAM, or leave out ClientRootAccess?" ;;
    *"unknown filesystem"* | *"wrong fs type"*) echo "this machine cannot mount NFS: install nfs-utils" ;;
    *) echo "see what mount said" ;;
    esac
}

mounted() { within 10 mountpoint -q "$EFS_MOUNT_POINT"; }

# 0: our file system is mounted. 1: nothing is. 2: something else is, or it does not answer; the log says what.
state() {
    local source status
    mounted
    status=$?
    if ((status == 124 || status == 137)); then
        say "error: $EFS_MOUNT_POINT is mounted and does not answer: stop the notebook and start it again"
        return 2
    fi
    ((status == 0)) || return 1
    source=$(within 10 findmnt -n -o SOURCE --mountpoint "$EFS_MOUNT_POINT")
    [[ $source == "$EFS_SOURCE" ]] && return 0
    say "error: $EFS_MOUNT_POINT has '$source' and not $EFS_SOURCE: unmount it, or stop the notebook and start it again"
    return 2
}

mount_once() {
    local said status
    mkdir -p "$EFS_MOUNT_POINT" || return 1
    # Through a file: a pipe would stay open, and be waited for, as long as anything of mount is left.
    within "$EFS_TRY_SECONDS" mount -t nfs4 -o "$EFS_OPTIONS" "$EFS_SOURCE" "$EFS_MOUNT_POINT" >"$EFS_LOCK.said" 2>&1
    status=$?
    said=$(<"$EFS_LOCK.said")
    # Killed halfway, mount may have finished: what counts is whether it is there.
    mounted && return 0
    say "try failed (exit $status): $(advice "$status" "$said")${said:+ [${said//$'\n'/ }]}"
    return 1
}

# Only on the mounted share: made on the notebook's disk they would hide behind it later. One that exists is left as it
# is, rights included. Jobs write as root and other people as other users, so a new one is open, as /tmp is.
make_directories() {
    local directory path failed=0
    for directory in $EFS_DIRECTORIES; do
        path=$EFS_MOUNT_POINT$directory
        if [[ $directory != /* || $directory == *..* ]]; then
            say "error: EFS_DIRECTORIES has '$directory', which is no absolute path: correct it in the lifecycle configuration"
            failed=1
        elif within 30 test -d "$path"; then
            say "$directory is there"
        elif within 30 mkdir -p "$path" && within 30 chmod 1777 "$path" && within 30 chown "$EFS_OWNER:" "$path"; then
            say "$directory made"
        else
            say "error: $directory could not be made (see above): make it by hand in $EFS_MOUNT_POINT"
            failed=1
        fi
    done
    return "$failed"
}

worker() {
    local end=$((SECONDS + EFS_GIVE_UP_SECONDS)) status
    exec 9>"$EFS_LOCK" || { say "error: cannot write the lock $EFS_LOCK"; return 1; }
    flock -n 9 || { say "another worker is at it: nothing to do"; return 0; }
    say "worker $$ starts: $EFS_SOURCE on $EFS_MOUNT_POINT"
    check_values || return 1
    while true; do
        state
        status=$?
        ((status == 2)) && return 1
        ((status == 0)) && { say "mounted already"; break; }
        mount_once && { say "mounted"; break; }
        if ((SECONDS + EFS_PAUSE_SECONDS >= end)); then
            say "error: gave up after $EFS_GIVE_UP_SECONDS s: fix what the lines above say, then stop the notebook and start it again"
            return 1
        fi
        sleep "$EFS_PAUSE_SECONDS" 9>&-
    done
    make_directories && say "done"
}

# A session of its own with no descriptor of the caller's: the start neither waits for the worker nor takes it down.
if ! touch "$EFS_LOG"; then
    echo "EFS is not mounted: the log $EFS_LOG cannot be written"
    exit 0
fi
chmod 644 "$EFS_LOG"
export EFS_ID AWS_REGION "${!EFS_@}"
export -f say within check_values advice mounted state mount_once make_directories worker
setsid nohup bash -c worker </dev/null >>"$EFS_LOG" 2>&1 &
echo "mounting EFS in the background; what became of it is in $EFS_LOG"
exit 0
