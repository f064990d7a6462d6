package ffi

// Methods of the ABI. Those of package wire's operations (100 to 103, 400 to 410) have their names there.
const (
	unknown            = 0 // no method has it: the host takes it as the phase's failure
	next               = 1
	end                = 2
	getPayload         = 3
	streamData         = 104
	streamEnd          = 105
	streamHeader       = 106
	readResponseBody   = 107
	readResponseStatus = 108
	readResponseBytes  = 109
	readResponseFields = 110
	readDuration       = 111
	readError          = 112
	readRequestBody    = 200
	readRequestFields  = 202
	readURL            = 203
	readPath           = 204
	readQuery          = 205
	readParams         = 206
	readHost           = 207
	readClientIP       = 208
	readMethod         = 209
	readLength         = 210
	readTimestamp      = 211
	socketUpgrade      = 300
	socketText         = 301
	socketBinary       = 302
	socketClose        = 303
	socketJoin         = 310
	socketLeave        = 311
	roomText           = 312
	roomBinary         = 313
	socketOpened       = 350
	socketGotText      = 351
	socketGotBinary    = 352
	socketClosed       = 353
	socketFailed       = 354
	failPhase          = 430 // of hosts that offer it: how the phase has failed, a header of code and text
	readRequestPiece   = 431 // likewise: the next piece of the request's body, empty behind the last
	readRequestID      = 432 // likewise
	upgradeWith        = 433 // likewise: socketUpgrade with the longest message (4 bytes, 0 for the host's own) and a sub-protocol; from the host why there is none
	closeWith          = 434 // likewise: socketClose with code (2 bytes) and reason; then socketClosed has them as well
	readAllRequest     = 435 // likewise: readRequestFields with values of any bytes
	readAllResponse    = 436 // likewise
	readResponsePiece  = 437 // likewise: the next piece of what a body filter streams, empty behind the last
	several            = 438 // likewise: messages one behind the other, each its method, its length and its payload
)

// 201, one header by its name, is never asked for: the original host does not answer it where the header is absent.
