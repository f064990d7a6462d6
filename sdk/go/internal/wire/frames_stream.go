package wire

// Stream is STREAM: the response is streamed (SPEC 14).
type Stream struct {
	Head
	Ops      []Operation
	StreamID uint32
	First    *First
	Ext      Ext
}

// Type is TypeStream.
func (*Stream) Type() FrameType { return TypeStream }
func (*Stream) elements() int   { return 9 }
func (f *Stream) code(c *coder) {
	f.Head.code(c)
	list(c, &f.Ops, false, codeOperation)
	c.u32(&f.StreamID)
	recordOrNil(c, &f.First, codeFirst)
	c.ext(&f.Ext)
}

// StreamEnd is STREAM_END: the stream is over (SPEC 14).
type StreamEnd struct {
	Head
	Outcome Outcome
	Ext     Ext
}

// Type is TypeStreamEnd.
func (*StreamEnd) Type() FrameType { return TypeStreamEnd }
func (*StreamEnd) elements() int   { return 7 }
func (f *StreamEnd) code(c *coder) {
	f.Head.code(c)
	enum(c, &f.Outcome, OutcomeOk, OutcomeAbort)
	c.ext(&f.Ext)
}

// Upgrade is UPGRADE: make the request a WebSocket (SPEC 14.3).
type Upgrade struct {
	Head
	Ops             []Operation
	MaxMessageBytes uint64
	Subprotocol     *string
	First           *First
	Ext             Ext
}

// Type is TypeUpgrade.
func (*Upgrade) Type() FrameType { return TypeUpgrade }
func (*Upgrade) elements() int   { return 10 }
func (f *Upgrade) code(c *coder) {
	f.Head.code(c)
	list(c, &f.Ops, false, codeOperation)
	c.u53(&f.MaxMessageBytes)
	c.strOrNil(&f.Subprotocol)
	recordOrNil(c, &f.First, codeFirst)
	c.ext(&f.Ext)
}

// WsOpen is WS_OPEN: the WebSocket is open (SPEC 14.3).
type WsOpen struct {
	Head
	ConnectionID uint32
	Ext          Ext
}

// Type is TypeWsOpen.
func (*WsOpen) Type() FrameType { return TypeWsOpen }
func (*WsOpen) elements() int   { return 7 }
func (f *WsOpen) code(c *coder) {
	f.Head.code(c)
	c.u32(&f.ConnectionID)
	c.ext(&f.Ext)
}

// WsClosed is WS_CLOSED: the WebSocket is closed (SPEC 14.3).
type WsClosed struct {
	Head
	Code   uint16
	Reason string
	Ext    Ext
}

// Type is TypeWsClosed.
func (*WsClosed) Type() FrameType { return TypeWsClosed }
func (*WsClosed) elements() int   { return 8 }
func (f *WsClosed) code(c *coder) {
	f.Head.code(c)
	c.u16(&f.Code)
	c.str(&f.Reason)
	c.ext(&f.Ext)
}

// WsError is WS_ERROR: the WebSocket failed (SPEC 14.3).
type WsError struct {
	Head
	Text string
	Ext  Ext
}

// Type is TypeWsError.
func (*WsError) Type() FrameType { return TypeWsError }
func (*WsError) elements() int   { return 7 }
func (f *WsError) code(c *coder) {
	f.Head.code(c)
	c.str(&f.Text)
	c.ext(&f.Ext)
}

// WsOp is WS_OP: close, rooms, broadcast (SPEC 14.4).
type WsOp struct {
	Head
	CallID    uint32
	Operation WsOperation
	Ext       Ext
}

// Type is TypeWsOp.
func (*WsOp) Type() FrameType { return TypeWsOp }
func (*WsOp) elements() int   { return 8 }
func (f *WsOp) code(c *coder) {
	f.Head.code(c)
	c.u32(&f.CallID)
	codeWsOperation(c, &f.Operation)
	c.ext(&f.Ext)
}
