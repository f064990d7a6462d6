package wire

import "encoding/hex"

// SessionID is the 128 random bits that name a session.
type SessionID [16]byte

// String is the id as 32 hex digits, as in the gateway's log.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// Head is the five elements that every session frame starts with (SPEC 4.9).
type Head struct {
	Session    SessionID
	Generation uint32
	Seq        uint32
	PhaseSeq   uint32
}

// Header gives the head of a frame.
func (h *Head) Header() *Head { return h }

func (h *Head) code(c *coder) {
	if c.writing {
		c.binHead(16)
		c.out = append(c.out, h.Session[:]...)
	} else if c.present(false) {
		id := c.readBin()
		if c.err == nil && len(id) != 16 {
			c.fail(ErrSessionID)
		}
		copy(h.Session[:], id)
	}
	c.u32(&h.Generation)
	c.u32(&h.Seq)
	c.u32(&h.PhaseSeq)
}

// Frame is one frame of the protocol.
type Frame interface {
	// Type is the frame's type.
	Type() FrameType
	// Header is the head of a session frame; nil for BEAT and BATCH.
	Header() *Head

	elements() int
	code(c *coder)
}

// Open is OPEN: a session and its first phase (SPEC 10).
type Open struct {
	Head
	V           uint32
	Reply       string
	Entry       string
	Phase       Phase
	RemainingMs uint64
	MonoMs      uint64
	Snapshot    Snapshot
	Payload     []byte
	Revision    *Revision
	Credit      uint32
	More        bool
	Body        []byte
	Response    *Response
	Ext         Ext
}

// Type is TypeOpen.
func (*Open) Type() FrameType { return TypeOpen }
func (*Open) elements() int   { return 19 }
func (f *Open) code(c *coder) {
	f.Head.code(c)
	version(c, &f.V)
	c.str(&f.Reply)
	c.str(&f.Entry)
	enum(c, &f.Phase, RequestFilter, Logging)
	c.u53(&f.RemainingMs)
	c.u53(&f.MonoMs)
	f.Snapshot.code(c)
	c.bytesOrNil(&f.Payload, false)
	recordOrNil(c, &f.Revision, codeRevision)
	c.u32Or(&f.Credit, InitialCredit)
	c.boolOrFalse(&f.More)
	c.bytesOrNil(&f.Body, false)
	recordOrNil(c, &f.Response, codeResponse)
	c.ext(&f.Ext)
}

func version(c *coder, v *uint32) {
	c.u32(v)
	if c.err == nil && *v != Version {
		c.fail(ErrVersion)
	}
}

// Accept is ACCEPT: handed to user code (SPEC 15.1).
type Accept struct {
	Head
	First *First
	Ext   Ext
}

// Type is TypeAccept.
func (*Accept) Type() FrameType { return TypeAccept }
func (*Accept) elements() int   { return 7 }
func (f *Accept) code(c *coder) {
	f.Head.code(c)
	recordOrNil(c, &f.First, codeFirst)
	c.ext(&f.Ext)
}

// PhaseFrame is PHASE: a later phase (SPEC 11).
type PhaseFrame struct {
	Head
	Phase       Phase
	RemainingMs uint64
	MonoMs      uint64
	Payload     []byte
	Response    *Response
	Body        []byte
	More        bool
	Ext         Ext
}

// Type is TypePhase.
func (*PhaseFrame) Type() FrameType { return TypePhase }
func (*PhaseFrame) elements() int   { return 13 }
func (f *PhaseFrame) code(c *coder) {
	f.Head.code(c)
	enum(c, &f.Phase, RequestFilter, Logging)
	c.u53(&f.RemainingMs)
	c.u53(&f.MonoMs)
	c.bytesOrNil(&f.Payload, false)
	recordOrNil(c, &f.Response, codeResponse)
	c.bytesOrNil(&f.Body, false)
	c.boolOrFalse(&f.More)
	c.ext(&f.Ext)
}

// Fetch is FETCH: asks for a body, the config or the rest of an OPEN (SPEC 12).
type Fetch struct {
	Head
	CallID   uint32
	What     FetchKind
	MaxBytes uint64
	First    *First
	Ext      Ext
}

// Type is TypeFetch.
func (*Fetch) Type() FrameType { return TypeFetch }
func (*Fetch) elements() int   { return 10 }
func (f *Fetch) code(c *coder) {
	f.Head.code(c)
	c.u32(&f.CallID)
	enum(c, &f.What, FetchResponseBody, FetchResponseStream)
	if !c.writing && c.err == nil {
		switch f.What {
		case FetchResponseBody, FetchRequestBody, FetchConfig, FetchOpenRest, FetchRequestStream, FetchResponseStream:
		default:
			c.fail(ErrRange)
		}
	}
	c.u53(&f.MaxBytes)
	recordOrNil(c, &f.First, codeFirst)
	c.ext(&f.Ext)
}

// Data is DATA: a piece of a body, stream or WebSocket message (SPEC 12).
type Data struct {
	Head
	ID    uint32
	Bytes []byte
	More  bool
	Kind  DataKind
	Ext   Ext
}

// Type is TypeData.
func (*Data) Type() FrameType { return TypeData }
func (*Data) elements() int   { return 10 }
func (f *Data) code(c *coder) {
	f.Head.code(c)
	c.u32(&f.ID)
	c.bytes(&f.Bytes)
	c.boolOrFalse(&f.More)
	enumOr(c, &f.Kind, DataBody, DataBinary, DataBody)
	c.ext(&f.Ext)
}

// Credit is CREDIT: more may be sent (SPEC 12.5).
type Credit struct {
	Head
	ID    uint32
	Bytes uint32
	Ext   Ext
}

// Type is TypeCredit.
func (*Credit) Type() FrameType { return TypeCredit }
func (*Credit) elements() int   { return 8 }
func (f *Credit) code(c *coder) {
	f.Head.code(c)
	c.u32(&f.ID)
	c.u32(&f.Bytes)
	c.ext(&f.Ext)
}

// Result is RESULT: operations and action end a phase (SPEC 13).
type Result struct {
	Head
	Ops    []Operation
	Action Action
	First  *First
	Timing *Timing
	Ext    Ext
}

// Type is TypeResult.
func (*Result) Type() FrameType { return TypeResult }
func (*Result) elements() int   { return 10 }
func (f *Result) code(c *coder) {
	f.Head.code(c)
	list(c, &f.Ops, false, codeOperation)
	enum(c, &f.Action, Next, End)
	recordOrNil(c, &f.First, codeFirst)
	recordOrNil(c, &f.Timing, codeTiming)
	c.ext(&f.Ext)
}
