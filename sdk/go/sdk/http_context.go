package sdk

// PhaseRequestFilter is the context of a request filter. As every context it may be kept and used from any goroutine; what it changes
// after the end of its phase has no effect, and is logged once.
type PhaseRequestFilter struct{ run *phaseRun }

// Request is the request; its header setters change what goes upstream.
func (ctx *PhaseRequestFilter) Request() *Request { return &Request{ctx.run} }

// Response is what End sends. After Next its headers are laid over those of a later answer; status and body are not.
func (ctx *PhaseRequestFilter) Response() *Response { return &Response{ctx.run} }

// GetPayload gives the payload of the middleware in the configuration; nil if there is none or it is not an object. Numbers
// are float64. Each call in a phase gives the same map.
func (p *PhaseRequestFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase: the request goes on. Only the first of Next and End counts; a later one does nothing and is logged. It does
// not block.
func (p *PhaseRequestFilter) Next() { p.run.next() }

// End ends the phase and answers the request at once with what Response has: 200 without a body if nothing was set.
func (p *PhaseRequestFilter) End() { p.run.end() }

// WebSocketUpgrade makes the request a WebSocket (SPEC 14.3), which ends the phase by its own end: neither Next nor End is to follow.
// It waits for the gateway's verdict and returns nil when the 101, with the headers that were set, is out; callbacks run on a
// goroutine of their own. An error leaves the response in the handler's hands: ErrNotWebSocket if the request is no handshake,
// ErrSessionClosed behind the end of the phase.
func (p *PhaseRequestFilter) WebSocketUpgrade(cbs WebSocketCallbacks) error {
	return p.run.upgrade(WebSocketOptions{}, cbs)
}

// WebSocketUpgradeWith is WebSocketUpgrade with a choice of sub-protocols and a limit for messages. The original gateway
// cannot keep the limit: ErrNotSupported, and nothing has happened.
func (p *PhaseRequestFilter) WebSocketUpgradeWith(options WebSocketOptions, cbs WebSocketCallbacks) error {
	return p.run.upgrade(options, cbs)
}

// PhaseResponseFilter is the context of a response filter. It cannot End: its Response is the answer already.
type PhaseResponseFilter struct{ run *phaseRun }

// Response is the response before its head goes out.
func (p *PhaseResponseFilter) Response() *Response { return &Response{p.run} }

// Request is the request as it came.
func (p *PhaseResponseFilter) Request() *Request { return &Request{p.run} }

// SetResponseHeader is Response().SetHeader.
func (p *PhaseResponseFilter) SetResponseHeader(key, value string) {
	p.Response().SetHeader(key, value)
}

// RemoveResponseHeader is Response().RemoveHeader.
func (p *PhaseResponseFilter) RemoveResponseHeader(key string) { p.Response().RemoveHeader(key) }

// SetResponseStatus is Response().SetStatus.
func (p *PhaseResponseFilter) SetResponseStatus(status uint16) { p.Response().SetStatus(status) }

// GetRequestHeader is Request().Headers().Get: repeats joined, "" if the header is absent.
func (p *PhaseResponseFilter) GetRequestHeader(key string) string {
	return p.Request().Headers().Get(key)
}

// GetRequestHeaders is Request().Headers().GetAll.
func (p *PhaseResponseFilter) GetRequestHeaders() map[string]string {
	return p.Request().Headers().GetAll()
}

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseResponseFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase. Only the first call counts.
func (p *PhaseResponseFilter) Next() { p.run.next() }

// PhaseResponseBodyFilter is the context of a response body filter, which has the whole body, or of a ResponseBodyStream. Changes of
// status and headers come too late in it, and have no effect (SPEC 13.6).
type PhaseResponseBodyFilter struct{ run *phaseRun }

// Response is the response; ReadBody gives its body, BodyRaw replaces it.
func (p *PhaseResponseBodyFilter) Response() *Response { return &Response{p.run} }

// Request is the request as it came.
func (p *PhaseResponseBodyFilter) Request() *Request { return &Request{p.run} }

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseResponseBodyFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase. Only the first call counts. In a ResponseBodyStream it does nothing: returning ends that.
func (p *PhaseResponseBodyFilter) Next() { p.run.next() }

// PhaseLogging is the context of the logging phase: everything can be read, nothing changed.
type PhaseLogging struct{ run *phaseRun }

// Response is the response as it was sent.
func (p *PhaseLogging) Response() *Response { return &Response{p.run} }

// Request is the request as it came.
func (p *PhaseLogging) Request() *Request { return &Request{p.run} }

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseLogging) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase, and so the session. Nobody waits for it, but the worker counts the request as running until then.
func (p *PhaseLogging) Next() { p.run.next() }
