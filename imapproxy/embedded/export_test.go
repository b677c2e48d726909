package embedded

// CloseWrite says that nothing more will be sent; what the server answers can still be read.
func (c *Conn) CloseWrite() { c.in.end() }
