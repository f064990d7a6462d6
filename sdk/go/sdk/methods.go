package sdk

// NylonMethods names a method of the plugin ABI.
type NylonMethods string

// The methods of the plugin ABI; MethodIDMapping has their numbers.
const (
	NylonMethodNext                         NylonMethods = "next"
	NylonMethodEnd                          NylonMethods = "end"
	NylonMethodGetPayload                   NylonMethods = "get_payload"
	NylonMethodSetResponseHeader            NylonMethods = "set_response_header"
	NylonMethodRemoveResponseHeader         NylonMethods = "remove_response_header"
	NylonMethodSetResponseStatus            NylonMethods = "set_response_status"
	NylonMethodSetResponseFullBody          NylonMethods = "set_response_full_body"
	NylonMethodSetResponseStreamData        NylonMethods = "set_response_stream_data"
	NylonMethodSetResponseStreamEnd         NylonMethods = "set_response_stream_end"
	NylonMethodSetResponseStreamHeader      NylonMethods = "set_response_stream_header"
	NylonMethodReadResponseFullBody         NylonMethods = "read_response_full_body"
	NylonMethodReadResponseStatus           NylonMethods = "read_response_status"
	NylonMethodReadResponseBytes            NylonMethods = "read_response_bytes"
	NylonMethodReadResponseHeaders          NylonMethods = "read_response_headers"
	NylonMethodReadResponseDuration         NylonMethods = "read_response_duration"
	NylonMethodReadResponseError            NylonMethods = "read_response_error"
	NylonMethodReadRequestFullBody          NylonMethods = "read_request_full_body"
	NylonMethodReadRequestHeader            NylonMethods = "read_request_header"
	NylonMethodReadRequestHeaders           NylonMethods = "read_request_headers"
	NylonMethodReadRequestURL               NylonMethods = "read_request_url"
	NylonMethodReadRequestPath              NylonMethods = "read_request_path"
	NylonMethodReadRequestQuery             NylonMethods = "read_request_query"
	NylonMethodReadRequestParams            NylonMethods = "read_request_params"
	NylonMethodReadRequestHost              NylonMethods = "read_request_host"
	NylonMethodReadRequestClientIP          NylonMethods = "read_request_client_ip"
	NylonMethodReadRequestMethod            NylonMethods = "read_request_method"
	NylonMethodReadRequestBytes             NylonMethods = "read_request_bytes"
	NylonMethodReadRequestTimestamp         NylonMethods = "read_request_timestamp"
	NylonMethodWebSocketUpgrade             NylonMethods = "websocket_upgrade"
	NylonMethodWebSocketSendText            NylonMethods = "websocket_send_text"
	NylonMethodWebSocketSendBinary          NylonMethods = "websocket_send_binary"
	NylonMethodWebSocketClose               NylonMethods = "websocket_close"
	NylonMethodWebSocketJoinRoom            NylonMethods = "websocket_join_room"
	NylonMethodWebSocketLeaveRoom           NylonMethods = "websocket_leave_room"
	NylonMethodWebSocketBroadcastRoomText   NylonMethods = "websocket_broadcast_room_text"
	NylonMethodWebSocketBroadcastRoomBinary NylonMethods = "websocket_broadcast_room_binary"
	NylonMethodWebSocketOnOpen              NylonMethods = "websocket_on_open"
	NylonMethodWebSocketOnMessageText       NylonMethods = "websocket_on_message_text"
	NylonMethodWebSocketOnMessageBinary     NylonMethods = "websocket_on_message_binary"
	NylonMethodWebSocketOnClose             NylonMethods = "websocket_on_close"
	NylonMethodWebSocketOnError             NylonMethods = "websocket_on_error"
)

// MethodIDMapping has the number of each method; the operations of both transports use the same numbers (SPEC 13.1). Changing it
// breaks RequestMethod.
var MethodIDMapping = map[NylonMethods]uint32{
	NylonMethodNext:                         1,
	NylonMethodEnd:                          2,
	NylonMethodGetPayload:                   3,
	NylonMethodSetResponseHeader:            100,
	NylonMethodRemoveResponseHeader:         101,
	NylonMethodSetResponseStatus:            102,
	NylonMethodSetResponseFullBody:          103,
	NylonMethodSetResponseStreamData:        104,
	NylonMethodSetResponseStreamEnd:         105,
	NylonMethodSetResponseStreamHeader:      106,
	NylonMethodReadResponseFullBody:         107,
	NylonMethodReadResponseStatus:           108,
	NylonMethodReadResponseBytes:            109,
	NylonMethodReadResponseHeaders:          110,
	NylonMethodReadResponseDuration:         111,
	NylonMethodReadResponseError:            112,
	NylonMethodReadRequestFullBody:          200,
	NylonMethodReadRequestHeader:            201,
	NylonMethodReadRequestHeaders:           202,
	NylonMethodReadRequestURL:               203,
	NylonMethodReadRequestPath:              204,
	NylonMethodReadRequestQuery:             205,
	NylonMethodReadRequestParams:            206,
	NylonMethodReadRequestHost:              207,
	NylonMethodReadRequestClientIP:          208,
	NylonMethodReadRequestMethod:            209,
	NylonMethodReadRequestBytes:             210,
	NylonMethodReadRequestTimestamp:         211,
	NylonMethodWebSocketUpgrade:             300,
	NylonMethodWebSocketSendText:            301,
	NylonMethodWebSocketSendBinary:          302,
	NylonMethodWebSocketClose:               303,
	NylonMethodWebSocketJoinRoom:            310,
	NylonMethodWebSocketLeaveRoom:           311,
	NylonMethodWebSocketBroadcastRoomText:   312,
	NylonMethodWebSocketBroadcastRoomBinary: 313,
	NylonMethodWebSocketOnOpen:              350,
	NylonMethodWebSocketOnMessageText:       351,
	NylonMethodWebSocketOnMessageBinary:     352,
	NylonMethodWebSocketOnClose:             353,
	NylonMethodWebSocketOnError:             354,
}

// HttpPluginFunc is a handler of a version before phases.
//
// Deprecated: use AddPhaseHandler.
type HttpPluginFunc func(ctx *NylonHttpPluginCtx)

// NylonHttpPluginCtx is the context of an HttpPluginFunc; nothing makes one.
//
// Deprecated: use the phase contexts.
type NylonHttpPluginCtx struct{ run *phaseRun }

// GetPayload gives the payload of the middleware; nil if there is none.
//
// Deprecated: use the phase contexts.
func (ctx *NylonHttpPluginCtx) GetPayload() map[string]any {
	if ctx.run == nil {
		return nil
	}
	return ctx.run.payload()
}

// Next goes on.
//
// Deprecated: use the phase contexts.
func (ctx *NylonHttpPluginCtx) Next() {
	if ctx.run != nil {
		ctx.run.next()
	}
}

// End answers at once.
//
// Deprecated: use the phase contexts.
func (ctx *NylonHttpPluginCtx) End() {
	if ctx.run != nil {
		ctx.run.end()
	}
}

// RequestMethod is the raw send of the FFI transport; phase is not used, data is copied. It fails with ErrSessionClosed for a
// session that is not open, so over NATS, where there is no channel by session number, always.
//
// Deprecated: use the phase contexts.
func RequestMethod(sessionID int32, phase int8, method NylonMethods, data []byte) error {
	return library.Send(uint32(sessionID), MethodIDMapping[method], data)
}
