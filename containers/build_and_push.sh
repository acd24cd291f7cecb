#!/usr/bin/env bash
# Build containers/NAME and push it to the account's ECR, as repository pathology-NAME and tagged with the git commit.
#
# The only line on standard output is what environments/*.yaml take: ….amazonaws.com/pathology-NAME@sha256:….
# A commit that is in ECR already is not built again. containers/NAME/base.txt says which image to build on, by tag;
# containers/NAME/base.lock the same one by digest, written here the first time and held to from then on.
set -euo pipefail

usage() {
    cat >&2 <<'USAGE'
usage: containers/build_and_push.sh NAME

NAME is a folder of containers/ with a Dockerfile. Region and account are those that the aws command is set up for:
AWS_REGION, AWS_DEFAULT_REGION or `aws configure get region`, and AWS_PROFILE as usual.

exit codes: 0 the image is in ECR, its name by digest is on standard output
            1 git, docker or AWS failed
            2 refused before anything was built: arguments, uncommitted changes, tools, locks
            3 containers/NAME/base.lock was missing and has been written: commit it and run again
USAGE
}

say() { printf '%s\n' "$*" >&2; }

# fail CODE WHAT…: one line, and the end.
fail() {
    local code=$1 line
    shift
    line=$*
    say "error: ${line//$'\n'/ }"
    exit "$code"
}

# Runs a command of AWS; $answer has what it printed, $problem what it complained of, in one line.
ask_aws() {
    local complaints status=0
    complaints=$(mktemp)
    answer=$(aws "$@" --region "$region" 2>"$complaints") || status=$?
    problem=$(tr -s '\n' ' ' <"$complaints")
    rm -f "$complaints"
    return "$status"
}

check_request() {
    local tool
    if (($# != 1)) || [[ ! $1 =~ ^[a-z0-9]+(-[a-z0-9]+)*$ ]]; then
        usage
        exit 2
    fi
    name=$1
    [[ -f $name/Dockerfile ]] || fail 2 "there is no containers/$name/Dockerfile: NAME is a folder of containers/ that has one"
    for tool in git docker aws; do
        command -v "$tool" >/dev/null || fail 2 "$tool is not on the PATH: install it to build images"
    done
    docker buildx version >/dev/null 2>&1 || fail 2 "docker has no buildx: install its buildx plug-in"
}

# The image's tag is a commit, so the image has to be that commit.
find_commit() {
    local changes
    changes=$(git status --porcelain) ||
        fail 1 "git status failed in containers/: run this in a checkout of the repository"
    [[ -z $changes ]] ||
        fail 2 "uncommitted changes ($(head -n 1 <<<"$changes")): commit or stash them, since the image is tagged with the commit"
    commit=$(git rev-parse HEAD) || fail 1 "git rev-parse HEAD failed: the checkout needs a commit"
    [[ $commit =~ ^[0-9a-f]{40,64}$ ]] || fail 1 "git rev-parse HEAD printed '$commit', which is no commit"
    tag=${commit:0:12}
}

# The base is resolved once, by a person who commits what it was resolved to, and never again behind anybody's back.
find_base() {
    local wanted digest lock=$name/base.lock
    [[ -f $name/base.txt ]] || fail 2 "containers/$name/base.txt is missing: it holds the base image as image:tag"
    wanted=$(<"$name/base.txt")
    [[ $wanted =~ ^[a-z0-9][a-z0-9./_:-]*:[A-Za-z0-9._-]+$ ]] ||
        fail 2 "containers/$name/base.txt holds '$wanted' and not one line image:tag"
    if [[ -e $lock ]]; then
        base=$(<"$lock")
        [[ $base =~ ^[^@[:space:]]+@sha256:[0-9a-f]{64}$ ]] ||
            fail 2 "containers/$lock holds '$base' and not one line image:tag@sha256:…: restore it from git"
        [[ ${base%@*} == "$wanted" ]] ||
            fail 2 "containers/$lock is for ${base%@*} and base.txt wants $wanted: delete the lock, run again and commit both"
        return
    fi
    # JSON, since a plain template with only the digest is ignored by some versions of buildx.
    digest=$(docker buildx imagetools inspect --format '{{json .Manifest.Digest}}' "$wanted") ||
        fail 1 "docker cannot find $wanted of containers/$name/base.txt: check the name and the network, and run again"
    digest=${digest//\"/}
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] ||
        fail 1 "docker gave no digest for $wanted but '$digest': update docker's buildx plug-in"
    printf '%s@%s\n' "$wanted" "$digest" >"$lock.new"
    mv "$lock.new" "$lock"
    fail 3 "containers/$lock was missing and now names $wanted@$digest: commit it and run again"
}

find_registry() {
    local account suffix=amazonaws.com
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [[ $region =~ ^[a-z]{2,}(-[a-z]+)+-[0-9]+$ ]] ||
        fail 2 "no AWS region (found '$region'): set AWS_REGION or run aws configure"
    ask_aws sts get-caller-identity --query Account --output text ||
        fail 1 "AWS does not say which account this is: ${problem:-no reason given}"
    account=$answer
    [[ $account =~ ^[0-9]{12}$ ]] ||
        fail 1 "aws sts get-caller-identity printed '$account', which is no account: check the credentials"
    [[ $region != cn-* ]] || suffix=amazonaws.com.cn
    registry=$account.dkr.ecr.$region.$suffix
    repository=pathology-$name
    image=$registry/$repository
}

# A tag that can move would let two images claim one commit.
ensure_repository() {
    local query='repositories[0].imageTagMutability'
    if ! ask_aws ecr describe-repositories --repository-names "$repository" --query "$query" --output text; then
        [[ $problem == *RepositoryNotFoundException* ]] ||
            fail 1 "ECR does not answer for $repository: ${problem:-no reason given}"
        say "making the ECR repository $repository in $region"
        if ask_aws ecr create-repository --repository-name "$repository" --image-tag-mutability IMMUTABLE \
            --image-scanning-configuration scanOnPush=true --encryption-configuration encryptionType=AES256; then
            return
        fi
        [[ $problem == *RepositoryAlreadyExistsException* ]] || fail 1 "ECR did not make $repository: ${problem:-no reason given}"
        ask_aws ecr describe-repositories --repository-names "$repository" --query "$query" --output text ||
            fail 1 "ECR does not answer for $repository: ${problem:-no reason given}"
    fi
    [[ $answer == IMMUTABLE ]] ||
        fail 2 "tags of $repository can be overwritten ($answer): run" \
            "aws ecr put-image-tag-mutability --repository-name $repository --image-tag-mutability IMMUTABLE --region $region"
}

# Sets $digest to that of this commit's image and succeeds, or fails because ECR has none. Any other answer ends the run.
find_pushed() {
    if ask_aws ecr describe-images --repository-name "$repository" --image-ids "imageTag=$tag" \
        --query 'imageDetails[0].imageDigest' --output text; then
        digest=$answer
        [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] ||
            fail 1 "ECR gave no digest for $repository:$tag but '$digest': look at it in the console"
        return 0
    fi
    [[ $problem == *ImageNotFoundException* ]] ||
        fail 1 "ECR does not say whether $repository:$tag is there: ${problem:-no reason given}"
    return 1
}

build() {
    say "building $repository:$tag on $base"
    # SageMaker takes one manifest, not the list that attestations make of it. The context is the checkout, for LICENSE and NOTICE;
    # Dockerfile.dockerignore, beside the Dockerfile, leaves of it what is copied.
    docker buildx build --load --platform linux/amd64 --provenance=false --sbom=false \
        --build-arg "BASE=$base" --label "org.opencontainers.image.revision=$commit" \
        --tag "$image:$tag" --file "$name/Dockerfile" .. >&2 ||
        fail 1 "docker could not build containers/$name/Dockerfile (see above): nothing was pushed"
}

push() {
    # By pipe: an argument can be read by every user of this machine.
    aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry" >&2 ||
        fail 1 "docker could not log in to $registry (see above): check the credentials and ecr:GetAuthorizationToken"
    if docker push "$image:$tag" >&2; then
        find_pushed || fail 1 "docker pushed $repository:$tag and ECR does not have it: run again"
    elif find_pushed; then
        say "$repository:$tag was pushed by somebody else meanwhile: theirs is taken"
    else
        fail 1 "docker could not push $repository:$tag (see above): check ecr:PutImage and the network, and run again"
    fi
}

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")"
    check_request "$@"
    find_commit
    find_base
    find_registry
    ensure_repository
    if find_pushed; then
        say "$repository:$tag is in ECR: nothing to build"
    else
        build
        push
    fi
    printf '%s@%s\n' "$image" "$digest"
}

main "$@"
