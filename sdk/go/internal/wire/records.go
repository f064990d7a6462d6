package wire

// Header is one header field; the value's bytes need not be UTF-8.
type Header struct {
	Name  string
	Value string
}

func codeHeader(c *coder, h *Header) { pair(c, &h.Name, &h.Value, true) }

// Param is one route parameter.
type Param struct {
	Name  string
	Value string
}

func codeParam(c *coder, p *Param) { pair(c, &p.Name, &p.Value, false) }

// pair has exactly two elements (SPEC 4.6).
func pair(c *coder, name, value *string, bin bool) {
	record(c, 2, func() {
		if !c.writing && c.err == nil && c.left != 2 {
			c.fail(ErrRange)
			return
		}
		c.str(name)
		if bin {
			c.bin(value)
		} else {
			c.str(value)
		}
	})
}

// Snapshot is the request as it came (SPEC 10.2).
type Snapshot struct {
	Method        string
	Scheme        string
	Host          string
	Port          uint16
	Path          string
	Query         string
	Params        []Param
	Headers       []Header
	ClientIP      string
	TimestampMs   uint64
	ContentLength Optional
	TLS           bool
	Websocket     bool
	RequestID     string
	Attributes    Ext
}

func (s *Snapshot) code(c *coder) {
	record(c, 15, func() {
		c.str(&s.Method)
		c.str(&s.Scheme)
		c.str(&s.Host)
		c.u16(&s.Port)
		c.str(&s.Path)
		c.str(&s.Query)
		list(c, &s.Params, false, codeParam)
		list(c, &s.Headers, false, codeHeader)
		c.str(&s.ClientIP)
		c.u53Or0(&s.TimestampMs)
		c.optional(&s.ContentLength, 1<<53, false)
		c.boolOrFalse(&s.TLS)
		c.boolOrFalse(&s.Websocket)
		c.strOrEmpty(&s.RequestID)
		c.ext(&s.Attributes)
	})
}

// Response is the response as it stands before a phase.
type Response struct {
	Status     uint16
	Headers    []Header
	BodyBytes  uint64
	DurationMs uint64
	Error      *string
	BodyLength Optional
}

func codeResponse(c *coder, r *Response) {
	record(c, 6, func() {
		c.u16(&r.Status)
		list(c, &r.Headers, false, codeHeader)
		c.u53Or0(&r.BodyBytes)
		c.u53Or0(&r.DurationMs)
		c.strOrNil(&r.Error)
		c.optional(&r.BodyLength, 1<<53, false)
	})
}

// First is what a worker says of itself in the first frame of a session.
type First struct {
	Worker   string
	Mask     uint32
	BodyMode BodyMode
	Credit   uint32
}

func codeFirst(c *coder, f *First) {
	record(c, 4, func() {
		c.str(&f.Worker)
		c.u32(&f.Mask)
		enum(c, &f.BodyMode, Buffered, Streaming)
		c.u32Or(&f.Credit, InitialCredit)
	})
}

// Revision names a plugin's config.
type Revision struct {
	Hash     string
	LoadedMs uint64
}

func codeRevision(c *coder, r *Revision) {
	record(c, 2, func() {
		c.bin(&r.Hash)
		c.u53(&r.LoadedMs)
	})
}

// Timing is where the worker spent the time.
type Timing struct {
	QueueUs   uint32
	HandlerUs uint32
}

func codeTiming(c *coder, t *Timing) {
	record(c, 2, func() {
		c.u32(&t.QueueUs)
		c.u32(&t.HandlerUs)
	})
}

// BeatEntry is an entry that a worker announces.
type BeatEntry struct {
	Entry    string
	Mask     uint32
	BodyMode BodyMode
}

func codeBeatEntry(c *coder, e *BeatEntry) {
	record(c, 3, func() {
		c.str(&e.Entry)
		c.u32(&e.Mask)
		enum(c, &e.BodyMode, Buffered, Streaming)
	})
}

// Operation is one change that a handler asks for. Which fields count depends on the number.
type Operation struct {
	Number uint32
	Name   string
	Value  string // of a header
	Status uint16
	Bytes  []byte // nil: the body went ahead in DATA frames
	ID     uint32
	Total  uint64
}

// Size is about how many bytes the operation takes in a frame.
func (o *Operation) Size() int { return 24 + len(o.Name) + len(o.Value) + len(o.Bytes) }

func (o *Operation) elements() int {
	switch o.Number {
	case OpRemoveResponseHeader, OpSetResponseStatus, OpRemoveRequestHeader:
		return 2
	case OpSetResponseFullBody:
		if o.Bytes != nil {
			return 2
		}
		return 4
	default:
		return 3
	}
}

func codeOperation(c *coder, o *Operation) {
	record(c, o.elements(), func() {
		c.u32(&o.Number)
		if c.err != nil {
			return
		}
		switch o.Number {
		case OpSetResponseHeader, OpSetRequestHeader, OpAddRequestHeader, OpAddResponseHeader:
			c.str(&o.Name)
			c.bin(&o.Value)
		case OpRemoveResponseHeader, OpRemoveRequestHeader:
			c.str(&o.Name)
		case OpSetResponseStatus:
			c.u16(&o.Status)
		case OpSetResponseFullBody:
			if c.writing && o.Bytes == nil {
				c.putNil()
			} else {
				c.bytesOrNil(&o.Bytes, true)
			}
			if o.Bytes == nil && c.err == nil {
				c.u32(&o.ID)
				c.u53(&o.Total)
			}
		default:
			c.fail(ErrUnknownOperation)
		}
	})
}

// WsOperation is what WS_OP asks for.
type WsOperation struct {
	Number  uint32
	Code    uint16
	Reason  string
	Room    string
	Message []byte
}

func codeWsOperation(c *coder, o *WsOperation) {
	n := 3
	if o.Number == WsJoinRoom || o.Number == WsLeaveRoom {
		n = 2
	}
	record(c, n, func() {
		c.u32(&o.Number)
		if c.err != nil {
			return
		}
		switch o.Number {
		case WsClose:
			c.u16(&o.Code)
			c.str(&o.Reason)
		case WsJoinRoom, WsLeaveRoom:
			c.str(&o.Room)
		case WsBroadcastText, WsBroadcastBinary:
			c.str(&o.Room)
			c.bytes(&o.Message)
		default:
			c.fail(ErrUnknownOperation)
		}
	})
}
