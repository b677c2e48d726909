package ber

// HeaderSize is how many octets AppendHeader writes for a length.
func HeaderSize(length int) int {
	switch {
	case length < 0x80:
		return 2
	case length < 1<<8:
		return 3
	case length < 1<<16:
		return 4
	case length < 1<<24:
		return 5
	default:
		return 6
	}
}

// Size is how many octets an element takes, its header included.
func Size(length int) int { return HeaderSize(length) + length }

// AppendHeader appends a tag and a length in as few octets as they take.
func AppendHeader(dst []byte, tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return append(dst, tag, byte(length))
	case length < 1<<8:
		return append(dst, tag, 0x81, byte(length))
	case length < 1<<16:
		return append(dst, tag, 0x82, byte(length>>8), byte(length))
	case length < 1<<24:
		return append(dst, tag, 0x83, byte(length>>16), byte(length>>8), byte(length))
	default:
		return append(dst, tag, 0x84, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
	}
}

// Append appends an element.
func Append[T ~string | ~[]byte](dst []byte, tag byte, value T) []byte {
	return append(AppendHeader(dst, tag, len(value)), value...)
}

// AppendInt appends an integer in as few octets as it takes.
func AppendInt(dst []byte, tag byte, n int32) []byte {
	size := 1
	for v := n; v > 0x7f || v < -0x80; v >>= 8 {
		size++
	}
	dst = append(dst, tag, byte(size))
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, Boolean, 1, 0xff)
	}
	return append(dst, Boolean, 1, 0)
}

// Begin appends the header of an element whose length is not known yet, and answers the place that End needs.
func Begin(dst []byte, tag byte) (out []byte, mark int) {
	return append(dst, tag, 0), len(dst)
}

// End sets the length of the element begun at mark, moving its content if the length takes more room than Begin left.
func End(dst []byte, mark int) []byte {
	length := len(dst) - mark - 2
	size := HeaderSize(length)
	if size == 2 {
		dst[mark+1] = byte(length)
		return dst
	}
	var room [4]byte
	dst = append(dst, room[:size-2]...)
	copy(dst[mark+size:], dst[mark+2:mark+2+length])
	AppendHeader(dst[:mark], dst[mark], length)
	return dst
}
