#!/bin/sh
#
# rollout.sh URL [PATCH]
#
# Starts the rollout of a release and follows it to its end.  URL is that of
# the release, http://127.0.0.1:9080/gray/releases/checkout; PATCH is a file
# that is merged into its document before, as one with the plan.  Exit status:
#
#     0  it has succeeded
#     1  it was rolled back, paused or aborted, as is said
#     2  it could not be started, or nothing can be said of it
#
# A rollout needs nobody to look at it: when this script is killed, it goes on,
# and rolls back by itself.  To follow it again, run the script again without
# PATCH.
#
# Environment: GRAY_COMMENT, who it is for; GRAY_CURL, options of curl, as
# "--user ci:secret" or "--cert ci.pem"; GRAY_WAIT, how long a request may be
# held, 5m; GRAY_TRIES, how often nginx may be away in a row, 30.

set -u

[ $# = 1 ] || [ $# = 2 ] || { sed -n '3,5p' "$0" >&2; exit 2; }

url=$1
patch=${2:-}
wait=${GRAY_WAIT:-5m}
tries=${GRAY_TRIES:-30}

answer=$(mktemp) || exit 2
trap 'rm -f "$answer"' EXIT
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


if [ -n "$patch" ]; then
    status=$(call PATCH '' -H 'Content-Type: application/json' \
                  --data-binary "@$patch")

    if [ "$status" != 200 ]; then
        cat "$answer" >&2
        give_up "the plan was not taken, $status" 2
    fi
fi

status=$(call POST /rollout/start)
[ "$status" = 200 ] || give_up "it was not started, $status" 2

echo "$(member '  ' state): $(member '  ' reason)"

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
