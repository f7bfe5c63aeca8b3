"""A gRPC client: grpc_client.py PORT < calls

Standard input is a JSON array of calls, {"method": "Unary", "messages":
["a"], "metadata": {"x-canary": "always"}}, and "pause", the seconds before
each message of a stream but the first.  All go over one connection, in order.
Prints a JSON array of {"code", "details", "messages", "served_by"}.
"""

import json
import sys
import time

import grpc


def paused(messages, seconds):
    for number, message in enumerate(messages):
        if number:
            time.sleep(seconds)
        yield message


def call(channel, request):
    method = "/gray.Echo/" + request["method"]
    messages = [message.encode() for message in request["messages"]]
    metadata = tuple(request.get("metadata", {}).items())
    got = []

    try:
        if request["method"] == "Stream":
            answer = channel.stream_stream(method)(
                paused(messages, request.get("pause", 0)), metadata=metadata,
                timeout=30)
            got.extend(message.decode() for message in answer)
        else:
            message, answer = channel.unary_unary(method).with_call(
                messages[0], metadata=metadata, timeout=30)
            got.append(message.decode())
    except grpc.RpcError as error:
        answer = error

    return {
        "code": answer.code().name,
        "details": answer.details(),
        "messages": got,
        "served_by": dict(answer.trailing_metadata() or ()).get("served-by"),
    }


def main(port):
    options = (("grpc.enable_http_proxy", 0),)

    with grpc.insecure_channel("127.0.0.1:" + port, options) as channel:

        # a connect that fails, on a busy machine, is tried again

        grpc.channel_ready_future(channel).result(timeout=30)

        json.dump([call(channel, request) for request in json.load(sys.stdin)],
                  sys.stdout)


main(*sys.argv[1:])
