package wire

// Append writes a frame behind out.
func Append(out []byte, frame Frame) []byte {
	c := coder{writing: true, out: out}
	c.arrayHead(frame.elements())
	c.putUint(uint64(frame.Type()))
	frame.code(&c)
	return c.out
}

// Decode reads one frame. Texts of the frame share the memory of data.
func Decode(data string) (Frame, error) {
	c := coder{in: data}
	outer := c.begin(0)
	frame := newFrame(c.frameType())
	if c.err != nil {
		return nil, c.err
	}
	if frame == nil {
		return nil, ErrUnknownFrame
	}
	frame.code(&c)
	c.end(outer)
	if c.err == nil && c.pos < len(data) {
		c.fail(ErrTrailing)
	}
	if c.err != nil {
		return nil, c.err
	}
	return frame, nil
}

// Peek reads as much of a frame as says whose it is, so that a frame that is refused can be answered (SPEC 7.3).
func Peek(data string) (Head, bool) {
	c := coder{in: data}
	c.begin(0)
	kind := c.frameType()
	if c.err != nil || kind == TypeBeat || kind == TypeBatch {
		return Head{}, false
	}
	var head Head
	head.code(&c)
	return head, c.err == nil
}

func (c *coder) frameType() FrameType {
	if !c.present(false) {
		return 0
	}
	return FrameType(min(c.readUint(1<<53), 255))
}

func newFrame(kind FrameType) Frame {
	switch kind {
	case TypeOpen:
		return new(Open)
	case TypeAccept:
		return new(Accept)
	case TypePhase:
		return new(PhaseFrame)
	case TypeFetch:
		return new(Fetch)
	case TypeData:
		return new(Data)
	case TypeCredit:
		return new(Credit)
	case TypeResult:
		return new(Result)
	case TypeStream:
		return new(Stream)
	case TypeStreamEnd:
		return new(StreamEnd)
	case TypeUpgrade:
		return new(Upgrade)
	case TypeWsOpen:
		return new(WsOpen)
	case TypeWsClosed:
		return new(WsClosed)
	case TypeWsError:
		return new(WsError)
	case TypeWsOp:
		return new(WsOp)
	case TypeAbort:
		return new(Abort)
	case TypeBusy:
		return new(Busy)
	case TypeError:
		return new(Error)
	case TypeClose:
		return new(Close)
	case TypeProbe:
		return new(Probe)
	case TypeBeat:
		return new(Beat)
	case TypeBatch:
		return new(Batch)
	default:
		return nil
	}
}

// IsBatch tells a BATCH by its first two bytes, before anything is copied.
func IsBatch(data []byte) bool {
	return len(data) > 1 && data[0]&0xf0 == 0x90 && data[1] == byte(TypeBatch)
}

// AppendBatch writes a BATCH of frames that lie one behind the other and end at these places.
func AppendBatch(out, frames []byte, ends []int) []byte {
	c := coder{writing: true, out: out}
	c.arrayHead(3)
	c.putUint(uint64(TypeBatch))
	c.arrayHead(len(ends))
	start := 0
	for _, end := range ends {
		c.binHead(end - start)
		c.out = append(c.out, frames[start:end]...)
		start = end
	}
	return append(c.out, 0x80)
}
