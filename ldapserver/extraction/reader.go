// Package extraction reads the national extraction file: Extraction_Correspondance_MSSante_AAAAMMJJhhmm.txt, alone or in a ZIP, with a
// line of UTF-8 text for each mailbox of the trust space (more than one where a mailbox has several activities or structures). It knows the format alone:
// what becomes of the rows is ldapserver/directory's affair.
//
// Invariants: a row that is answered has 31 fields of valid UTF-8 without control characters, none longer than 1 000 octets, an address as mail.ParseAddress
// answers it, a known kind, and the national identifier that its kind asks for. A row that has not is skipped and reported, and does not spoil the file; a
// file that is cut, or is another one, is an error. Memory is bounded whatever the file.
package extraction

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"balorg/mail"
)

// Limits. The longest line of the real file is far below both.
const (
	maxLine  = 16 << 10
	maxField = 1000
	// bufferSize holds a line of more than maxLine, so that it is seen to be one.
	bufferSize = 64 << 10
)

// A file of which more rows than both are bad is something else.
const (
	badRowsAnyway = 10
	badShare      = 0.1
)

var (
	// ErrFormat is a file that is no national extraction.
	ErrFormat = errors.New("this is no national extraction file")
	// ErrTruncated is a file that ends too early, or whose octets were changed on the way.
	ErrTruncated = errors.New("the file is cut short or damaged")

	errLongLine = fmt.Errorf("the line is longer than %d octets", maxLine)
)

// A Reader answers the rows of a file one by one. It is not for concurrent use.
type Reader struct {
	in        *bufio.Reader
	vouched   bool // the source itself knows whether it is whole, so that the last line may lack its end
	order     []Column
	trailing  bool // a separator stands behind the last field
	line      int
	row       Row
	addresses mail.Parser
	report    Report
	err       error
}

// NewReader reads the header. The error says what the file is instead, where that can be told, or which columns are wrong. A last line without its end is
// taken for a file that is cut; a source that knows its length by itself should answer io.ErrUnexpectedEOF, which is understood too.
func NewReader(r io.Reader) (*Reader, error) { return newReader(r, false) }

func newReader(r io.Reader, vouched bool) (*Reader, error) {
	x := &Reader{in: bufio.NewReaderSize(r, bufferSize), vouched: vouched}
	line, err := x.readLine()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	case errors.Is(err, errLongLine):
		return nil, fmt.Errorf("%w: its first line is longer than %d octets", ErrFormat, maxLine)
	case err != nil && !errors.Is(err, ErrTruncated):
		return nil, err
	}
	// Before anything is said of a cut: a page without a line end is another file, not half of this one.
	if why := otherFormat(line, err != nil); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrFormat, why)
	}
	if err != nil {
		return nil, err
	}
	x.order, x.trailing, err = readHeader(string(bytes.TrimPrefix(line, []byte("\ufeff"))))
	if err != nil {
		return nil, err
	}
	return x, nil
}

// otherFormat recognises what is most often had in place of the file. A line that is cut may end in the middle of a letter.
func otherFormat(line []byte, cut bool) string {
	start := bytes.TrimLeft(bytes.TrimPrefix(line, []byte("\ufeff")), " \t")
	switch {
	case bytes.HasPrefix(start, []byte("<")):
		return "it is a page of HTML or XML, perhaps a server's error"
	case bytes.HasPrefix(start, []byte("{")):
		return "it is JSON, perhaps a server's error"
	case bytes.HasPrefix(start, []byte("PK")):
		return "it is a ZIP archive in an archive"
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return "it is packed with gzip; unpack it first"
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")), bytes.IndexByte(line, 0) >= 0:
		return "it is UTF-16 or binary, not UTF-8 text"
	case !validText(line, cut):
		return "its first line is not UTF-8"
	case bytes.IndexByte(line, '|') >= 0:
		return ""
	}
	for _, separator := range []string{";", "\t", ","} {
		if strings.Count(string(line), separator) >= Columns/2 {
			return fmt.Sprintf("its columns are separated by %q in place of %q", separator, "|")
		}
	}
	return fmt.Sprintf("its first line holds no %q", "|")
}

func validText(line []byte, cut bool) bool {
	for n := 1; cut && n < utf8.UTFMax && n <= len(line); n++ {
		if rest := line[len(line)-n:]; utf8.RuneStart(rest[0]) {
			if !utf8.FullRune(rest) {
				line = line[:len(line)-n]
			}
			break
		}
	}
	return utf8.Valid(line)
}

// readLine answers the next line without its end. It is valid until the next call. A line that is too long is passed over and answered as errLongLine.
func (x *Reader) readLine() ([]byte, error) {
	x.line++
	line, err := x.in.ReadSlice('\n')
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		line, err = x.in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (len(line) > 0 || long) {
		if !x.vouched {
			return line, fmt.Errorf("%w: line %d has no end", ErrTruncated, x.line)
		}
		err = nil
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, x.readError(err)
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if long || len(line) > maxLine {
		return nil, errLongLine
	}
	return line, nil
}

// readError tells what a source's own check found from what the disk or the network did.
func (x *Reader) readError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: after line %d: %w", ErrTruncated, x.line-1, err)
	}
	return fmt.Errorf("reading line %d of the extraction: %w", x.line, err)
}

// Next answers the next row that is right, which is valid until the next call, and io.EOF behind the last one. Any other error is of the whole file: nothing
// of what was read before it should be used.
func (x *Reader) Next() (*Row, error) {
	for x.err == nil {
		line, err := x.readLine()
		switch {
		case errors.Is(err, errLongLine):
			x.report.bad(Fault{Line: x.line, Reason: err.Error()})
		case errors.Is(err, io.EOF):
			x.err = x.verdict()
		case err != nil:
			x.err = err
		case len(line) == 0:
		default:
			if fault := x.parse(line); fault != (Fault{}) {
				x.report.bad(fault)
				break
			}
			x.report.Rows++
			return &x.row, nil
		}
	}
	return nil, x.err
}

// verdict is of the file as a whole, when all of it has been read.
func (x *Reader) verdict() error {
	r := &x.report
	switch {
	case r.Rows+r.Bad == 0:
		return fmt.Errorf("%w: it holds no row", ErrFormat)
	case r.Rows == 0 || r.Bad > badRowsAnyway && float64(r.Bad) > badShare*float64(r.Rows+r.Bad):
		return fmt.Errorf("%w: %d of %d rows are bad, the first: %s", ErrFormat, r.Bad, r.Rows+r.Bad, r.Faults[0])
	}
	return io.EOF
}

// Report answers what was found so far. Its slices are the reader's own.
func (x *Reader) Report() Report { return x.report }
