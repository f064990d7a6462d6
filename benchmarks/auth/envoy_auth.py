"""The auth rule behind Envoy, as a gRPC server: `ext_authz` (one call a request) or `ext_proc` (one stream a request).

usage: envoy_auth.py ext_authz|ext_proc PORT
"""

import asyncio
import sys
from typing import Any

import ext_authz_pb2 as authz
import ext_proc_pb2 as proc
import grpc

TOKEN = "Bearer secret"
OVERWRITE = 2  # HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD


def authz_answers() -> tuple[bytes, bytes]:
    option = authz.HeaderValueOption(
        header=authz.HeaderValue(key="x-auth-user", value="alice"), append_action=OVERWRITE
    )
    passed = authz.CheckResponse(status=authz.Status(code=0), ok_response=authz.OkHttpResponse(headers=[option]))
    denied = authz.CheckResponse(
        status=authz.Status(code=16), denied_response=authz.DeniedHttpResponse(status=authz.HttpStatus(code=401))
    )
    return passed.SerializeToString(), denied.SerializeToString()


def proc_answers() -> tuple[bytes, bytes]:
    option = proc.HeaderValueOption(
        header=proc.HeaderValue(key="x-auth-user", raw_value=b"alice"), append_action=OVERWRITE
    )
    mutation = proc.HeaderMutation(set_headers=[option])
    passed = proc.ProcessingResponse(
        request_headers=proc.HeadersResponse(response=proc.CommonResponse(header_mutation=mutation))
    )
    denied = proc.ProcessingResponse(immediate_response=proc.ImmediateResponse(status=proc.HttpStatus(code=401)))
    return passed.SerializeToString(), denied.SerializeToString()


# Answers are encoded once: what is measured is the protocol, not protobuf's encoder.
AUTHZ_PASS, AUTHZ_DENY = authz_answers()
PROC_PASS, PROC_DENY = proc_answers()


def check(request: authz.CheckRequest) -> bytes:
    headers = request.attributes.request.http.headers
    return AUTHZ_PASS if headers.get("authorization") == TOKEN else AUTHZ_DENY


def process(request: proc.ProcessingRequest) -> bytes:
    for header in request.request_headers.headers.headers:
        if header.key == "authorization":
            return PROC_PASS if (header.raw_value or header.value.encode()) == TOKEN.encode() else PROC_DENY
    return PROC_DENY


async def check_async(request: authz.CheckRequest, _context: Any) -> bytes:
    return check(request)


async def process_async(requests: Any, _context: Any) -> Any:
    async for request in requests:
        yield process(request)


def handlers() -> tuple[Any, Any]:
    one_call = grpc.unary_unary_rpc_method_handler(
        check_async,
        request_deserializer=authz.CheckRequest.FromString,
        response_serializer=bytes,
    )
    one_stream = grpc.stream_stream_rpc_method_handler(
        process_async,
        request_deserializer=proc.ProcessingRequest.FromString,
        response_serializer=bytes,
    )
    return (
        grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": one_call}),
        grpc.method_handlers_generic_handler("envoy.service.ext_proc.v3.ExternalProcessor", {"Process": one_stream}),
    )


async def serve(kind: str, port: int) -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 1024)))
    server.add_generic_rpc_handlers((handlers()[("ext_authz", "ext_proc").index(kind)],))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
