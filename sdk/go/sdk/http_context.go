package sdk

// PhaseRequestFilter is the context of a request filter.
type PhaseRequestFilter struct{ run *phaseRun }

// Request is the request; its header setters change what goes upstream.
func (ctx *PhaseRequestFilter) Request() *Request { return &Request{ctx.run} }

// Response is what End sends, and what is laid over a later answer's headers after Next.
func (ctx *PhaseRequestFilter) Response() *Response { return &Response{ctx.run} }

// GetPayload gives the payload of the middleware in the configuration; nil if there is none or it is not an object. Numbers
// are float64.
func (p *PhaseRequestFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase: the request goes on. Only the first of Next and End counts.
func (p *PhaseRequestFilter) Next() { p.run.next() }

// End ends the phase and answers the request at once with what Response has.
func (p *PhaseRequestFilter) End() { p.run.end() }

// WebSocketUpgrade makes the request a WebSocket, which ends the phase by its own end: neither Next nor End is to follow. An
// error leaves the response in the handler's hands; it is ErrNotWebSocket if the request is no handshake. Headers that were set
// go into the 101.
func (p *PhaseRequestFilter) WebSocketUpgrade(cbs WebSocketCallbacks) error {
	return p.run.upgrade(WebSocketOptions{}, cbs)
}

// WebSocketUpgradeWith is WebSocketUpgrade with a choice of sub-protocols and a limit for messages. The original gateway
// cannot keep the limit: ErrNotSupported.
func (p *PhaseRequestFilter) WebSocketUpgradeWith(options WebSocketOptions, cbs WebSocketCallbacks) error {
	return p.run.upgrade(options, cbs)
}

// PhaseResponseFilter is the context of a response filter.
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

// GetRequestHeader gives a request header, whatever the case of its name; "" if it is absent.
func (p *PhaseResponseFilter) GetRequestHeader(key string) string {
	return p.Request().Headers().Get(key)
}

// GetRequestHeaders gives all request headers by their lower-case names.
func (p *PhaseResponseFilter) GetRequestHeaders() map[string]string {
	return p.Request().Headers().GetAll()
}

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseResponseFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase.
func (p *PhaseResponseFilter) Next() { p.run.next() }

// PhaseResponseBodyFilter is the context of a response body filter, which has the whole body.
type PhaseResponseBodyFilter struct{ run *phaseRun }

// Response is the response; ReadBody gives its body, BodyRaw replaces it.
func (p *PhaseResponseBodyFilter) Response() *Response { return &Response{p.run} }

// Request is the request as it came.
func (p *PhaseResponseBodyFilter) Request() *Request { return &Request{p.run} }

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseResponseBodyFilter) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase.
func (p *PhaseResponseBodyFilter) Next() { p.run.next() }

// PhaseLogging is the context of the logging phase: everything can be read, nothing changed.
type PhaseLogging struct{ run *phaseRun }

// Response is the response as it was sent.
func (p *PhaseLogging) Response() *Response { return &Response{p.run} }

// Request is the request as it came.
func (p *PhaseLogging) Request() *Request { return &Request{p.run} }

// GetPayload gives the payload of the middleware; see PhaseRequestFilter.GetPayload.
func (p *PhaseLogging) GetPayload() map[string]any { return p.run.payload() }

// Next ends the phase, and so the session.
func (p *PhaseLogging) Next() { p.run.next() }
