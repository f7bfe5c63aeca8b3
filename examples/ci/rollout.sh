#!/bin/sh
#
# rollout.sh URL [PATCH]
# rollout.sh -f URL
# rollout.sh -n URL
#
# Starts the rollout of a release and follows it to its end.  URL is that of
# the release, http://127.0.0.1:9080/gray/releases/checkout; PATCH is a file
# that is merged into its document before, as one with the plan.  With PATCH it
# is another rollout, so one that is under way already is left alone, and the
# script fails.  With -f it only follows one that was started.  Exit status:
#
#     0  it has succeeded
#     1  it was rolled back, paused or aborted, as is said
#     2  it could not be started, or nothing can be said of it
#
# A rollout needs nobody to look at it: when this script is killed, it goes on,
# and rolls back by itself.  To follow it again: -f.
#
# A rollout that succeeds makes its variant the baseline, so the next version
# has to be deployed where the other variant is, and never where everybody is.
# -n says which that is: of a release of two variants the one that is not the
# baseline; and fails while a rollout is under way, or where that variant has
# users by its weight, as one has whose rollout was aborted.
#
# Environment: GRAY_VARIANT, the variant of the plan, in place of that which
# PATCH names; GRAY_COMMENT, who it is for; GRAY_CURL, options of curl, as
# "--user ci:secret" or "--cert ci.pem"; GRAY_WAIT, how long a request may be
# held, 5m; GRAY_TRIES, how often nginx may be away in a row, 30.

set -u

usage()
{
    sed -n '3,5p' "$0" >&2
    exit 2
}

what=start

case ${1:-} in
-f) what=follow; shift; [ $# = 1 ] || usage ;;
-n) what=next;   shift; [ $# = 1 ] || usage ;;
-*) usage ;;
esac

[ $# = 1 ] || [ $# = 2 ] || usage

url=$1
patch=${2:-}
wait=${GRAY_WAIT:-5m}
tries=${GRAY_TRIES:-30}

etag=

answer=$(mktemp) && headers=$(mktemp) || exit 2
trap 'rm -f "$answer" "$headers"' EXIT
trap 'exit 2' HUP INT TERM


# METHOD PATH OPTION...: the status of the answer, or 000 where there is none

call()
{
    method=$1
    path=$2
    shift 2

    # shellcheck disable=SC2086  # several words
    curl -q -sS ${GRAY_CURL:-} -X "$method" -o "$answer" \
         -w '%{http_code}' -H "X-Gray-Comment: ${GRAY_COMMENT:-rollout.sh}" \
         --connect-timeout 10 "$@" "$url$path"
}


# a member of the answer that is a string, of those that are indented so

member()
{
    sed -n "s/^$1\"$2\": \"\(.*\)\",*\$/\1/p" "$answer" | head -n 1
}


# MESSAGE STATUS: what the answer says, and the end

give_up()
{
    echo "$1: $(member '  ' detail)" >&2
    exit "$2"
}


# OPTION...: the document is changed by what curl is told to send.  Its ETag, but
# for what a proxy makes of it, is that of what is to be started.

merge()
{
    status=$(call PATCH '' -H 'Content-Type: application/json' -D "$headers" \
                  "$@")
    etag=$(sed -n 's/^[Ee][Tt][Aa][Gg]:.*\("[^"]*"\).*/\1/p' "$headers" \
           | tail -n 1)

    if [ "$status" != 200 ]; then
        cat "$answer" >&2
        give_up "the plan was not taken, $status" 2
    fi
}


# one that is under way is of another build, and has evidence of that one

nothing_under_way()
{
    status=$(call GET /rollout)
    state=$(member '  ' state)

    case $status,$state in
    200,scheduled | 200,running | 200,paused | 200,baking)
        echo "a rollout is under way, it is $state: $(member '  ' reason)" >&2
        exit 2
        ;;
    esac

    # what it has led to is yet to come

    if [ "$status" = 200 ] && ! grep -q '^  "pending": null' "$answer"; then
        echo "it is $state, but its document is not yet what comes of that" >&2
        exit 2
    fi
}


if [ $what = next ]; then
    nothing_under_way

    status=$(call GET '')
    [ "$status" = 200 ] || give_up "no document, $status" 2

    baseline=$(member '  ' baseline)
    next=$(sed -n '/^  "variants": {/,/^  }/s/^    "\([^"]*\)": {.*/\1/p' \
                "$answer" | grep -vxF -e "$baseline")

    [ "$(echo "$next" | wc -w)" = 1 ] || {
        echo "not one variant, but the baseline:" "$next" >&2
        exit 2
    }

    # who is there would get what is deployed, and nobody would look

    weight=$(sed -n '/^  "variants": {/,/^  }/{
                     /^    "'"$next"'": {/,/^    }/s/^      "weight": //p
                     }' "$answer" | tr -d ,)

    [ "$weight" = 0 ] || {
        echo "$weight% of all have $next: PATCH its weight to 0 before" >&2
        exit 2
    }

    echo "$next"
    exit 0
fi

if [ -n "$patch" ]; then
    nothing_under_way
    merge --data-binary "@$patch"

    [ -z "${GRAY_VARIANT:-}" ] \
        || merge --data "{\"rollout\": {\"variant\": \"$GRAY_VARIANT\"}}"
fi

if [ $what = start ]; then
    # who has merged, and started, at the same time does not share in it

    status=$(call POST /rollout/start ${etag:+-H "If-Match: $etag"})
    [ "$status" = 200 ] || give_up "it was not started, $status" 2

    echo "$(member '  ' state): $(member '  ' reason)"
fi

away=0

while :; do
    status=$(call GET "/rollout/verdict?wait=$wait")

    case $status in
    200)
        echo "$(member '    ' state): $(member '    ' reason)"
        [ "$(member '    ' state)" != succeeded ] || exit 0
        ;;

    504)
        member '  ' detail
        ;;

    409)
        give_up "it has failed" 1
        ;;

    000 | 502 | 503)
        away=$((away + 1))
        [ "$away" -lt "$tries" ] || give_up "nginx is away, $status" 2
        sleep 1
        continue
        ;;

    *)
        give_up "no verdict, $status" 2
        ;;
    esac

    away=0
done
