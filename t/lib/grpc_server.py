"""A gRPC server without generated code: grpc_server.py PORT NAME

/gray.Echo/Unary answers "NAME:message", /gray.Echo/Stream each message of a
bidirectional stream likewise, /gray.Echo/Fail with FAILED_PRECONDITION.  The
name is also in the trailer "served-by".
"""

import concurrent.futures
import sys

import grpc


def main(port, name):
    prefix = name.encode() + b":"

    def unary(message, context):
        context.set_trailing_metadata((("served-by", name),))
        return prefix + message

    def stream(messages, context):
        context.set_trailing_metadata((("served-by", name),))
        for message in messages:
            yield prefix + message

    def fail(message, context):
        context.set_trailing_metadata((("served-by", name),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION,
                      name + " has failed")

    # without serializers, messages are bytes

    handler = grpc.method_handlers_generic_handler("gray.Echo", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    })

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))

    if server.add_insecure_port("127.0.0.1:" + port) == 0:
        sys.exit("cannot bind port " + port)

    server.start()
    server.wait_for_termination()


main(*sys.argv[1:])
