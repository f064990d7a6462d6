package wire

// Abort is ABORT: the session is over at once (SPEC 16).
type Abort struct {
	Head
	Reason AbortReason
	Text   *string
	Ext    Ext
}

// Type is TypeAbort.
func (*Abort) Type() FrameType { return TypeAbort }
func (*Abort) elements() int   { return 8 }
func (f *Abort) code(c *coder) {
	f.Head.code(c)
	open(c, &f.Reason, AbortClientGone, AbortProtocol, AbortProtocol)
	c.strOrNil(&f.Text)
	c.ext(&f.Ext)
}

// Busy is BUSY: not run, try another (SPEC 15.2).
type Busy struct {
	Head
	Worker       string
	Reason       BusyReason
	RetryAfterMs uint32
	Ext          Ext
}

// Type is TypeBusy.
func (*Busy) Type() FrameType { return TypeBusy }
func (*Busy) elements() int   { return 9 }
func (f *Busy) code(c *coder) {
	f.Head.code(c)
	c.str(&f.Worker)
	open(c, &f.Reason, BusyFull, BusyInitializing, BusyFull)
	c.u32Or(&f.RetryAfterMs, 0)
	c.ext(&f.Ext)
}

// Error is ERROR: a call or, with CallID nil, the phase failed (SPEC 15.4).
type Error struct {
	Head
	CallID Optional
	Code   string
	Text   string
	LogID  *string
	First  *First
	Ext    Ext
}

// Type is TypeError.
func (*Error) Type() FrameType { return TypeError }
func (*Error) elements() int   { return 11 }
func (f *Error) code(c *coder) {
	f.Head.code(c)
	c.optional(&f.CallID, 1<<32, true)
	c.str(&f.Code)
	c.str(&f.Text)
	c.strOrNil(&f.LogID)
	recordOrNil(c, &f.First, codeFirst)
	c.ext(&f.Ext)
}

// Close is CLOSE: no further phase will come (SPEC 16.2).
type Close struct {
	Head
	Ext Ext
}

// Type is TypeClose.
func (*Close) Type() FrameType { return TypeClose }
func (*Close) elements() int   { return 6 }
func (f *Close) code(c *coder) {
	f.Head.code(c)
	c.ext(&f.Ext)
}

// Probe is PROBE: is anyone there? (SPEC 17)
type Probe struct {
	Head
	Ext Ext
}

// Type is TypeProbe.
func (*Probe) Type() FrameType { return TypeProbe }
func (*Probe) elements() int   { return 6 }
func (f *Probe) code(c *coder) {
	f.Head.code(c)
	c.ext(&f.Ext)
}

// Beat is BEAT: a worker's load and state (SPEC 19).
type Beat struct {
	V               uint32
	Group           string
	Worker          string
	Seq             uint32
	Load            uint32
	Limit           uint32
	Draining        bool
	OldestRunningMs uint64
	OldestWaitingMs uint64
	Entries         []BeatEntry
	Revision        *Revision
	State           WorkerState
	Ext             Ext
}

// Type is TypeBeat.
func (*Beat) Type() FrameType { return TypeBeat }

// Header is nil: a beat belongs to no session.
func (*Beat) Header() *Head { return nil }
func (*Beat) elements() int { return 14 }
func (f *Beat) code(c *coder) {
	version(c, &f.V)
	c.str(&f.Group)
	c.str(&f.Worker)
	c.u32(&f.Seq)
	c.u32(&f.Load)
	c.u32(&f.Limit)
	c.boolOrFalse(&f.Draining)
	c.u53Or0(&f.OldestRunningMs)
	c.u53Or0(&f.OldestWaitingMs)
	list(c, &f.Entries, true, codeBeatEntry)
	recordOrNil(c, &f.Revision, codeRevision)
	if !c.writing && c.err == nil && c.left == 0 {
		f.State = Ready
	} else {
		open(c, &f.State, Ready, FailedKeepingOld, Initializing)
	}
	c.ext(&f.Ext)
}

// Batch is BATCH: several session frames in one message (SPEC 4.10).
type Batch struct {
	Frames []string
	Ext    Ext
}

// Type is TypeBatch.
func (*Batch) Type() FrameType { return TypeBatch }

// Header is nil: each frame in it has its own.
func (*Batch) Header() *Head { return nil }
func (*Batch) elements() int { return 3 }
func (f *Batch) code(c *coder) {
	list(c, &f.Frames, false, func(c *coder, one *string) { c.bin(one) })
	if !c.writing && c.err == nil && len(f.Frames) == 0 {
		c.fail(ErrMissing)
	}
	c.ext(&f.Ext)
}
