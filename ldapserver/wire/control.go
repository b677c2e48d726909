package wire

import (
	"balorg/ldapserver/ber"
	"balorg/ldapserver/filter"
)

// The controls that are known.
const (
	ControlPaged       = "1.2.840.113556.1.4.319"   // RFC 2696
	ControlSort        = "1.2.840.113556.1.4.473"   // RFC 2891
	ControlSorted      = "1.2.840.113556.1.4.474"   // its answer
	ControlVLV         = "2.16.840.1.113730.3.4.9"  // draft-ietf-ldapext-ldapv3-vlv-09
	ControlVLVAnswer   = "2.16.840.1.113730.3.4.10" // its answer
	ControlManageDsaIT = "2.16.840.1.113730.3.4.2"  // RFC 3296: there are no referrals, so that it changes nothing
	ControlValues      = "1.2.826.0.1.3344810.2.3"  // RFC 3876
	ControlProxied     = "2.16.840.1.113730.3.4.18" // RFC 4370
	ExtensionStartTLS  = "1.3.6.1.4.1.1466.20037"   // RFC 4511, 4.14
	ExtensionWhoAmI    = "1.3.6.1.4.1.4203.1.11.3"  // RFC 4532
	ExtensionCancel    = "1.3.6.1.1.8"              // RFC 3909
	FeatureAllOp       = "1.3.6.1.4.1.4203.1.5.1"   // RFC 3673: + in lists of attributes
	FeatureTrueFalse   = "1.3.6.1.4.1.4203.1.5.3"   // RFC 4526
)

// Paged asks for a page (RFC 2696).
type Paged struct {
	Size   int32
	Cookie []byte
}

// ParsePaged reads the control's value.
func ParsePaged(value []byte) (p Paged, err error) {
	outer := ber.NewReader(value)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	p.Size, p.Cookie = in.Int(ber.Integer, 0, 1<<31-1), in.Expect(ber.Octets)
	if outer.Done() != nil || in.Done() != nil {
		return p, ErrMalformed
	}
	return p, nil
}

// Response makes the control's answer.
func (p Paged) Response() ResponseControl {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, p.Size)
	b = ber.Append(b, ber.Octets, p.Cookie)
	return ResponseControl{ControlPaged, ber.End(b, mark)}
}

// SortKey is one key of a sort (RFC 2891).
type SortKey struct {
	Attribute []byte
	Rule      []byte // may be empty
	Reverse   bool
}

// maxSortKeys bounds what is sorted by.
const maxSortKeys = 8

// ParseSort reads the control's value.
func ParseSort(value []byte) ([]SortKey, error) {
	outer := ber.NewReader(value)
	list := ber.NewReader(outer.Expect(ber.Sequence))
	var keys []SortKey
	for !list.Empty() {
		in := ber.NewReader(list.Expect(ber.Sequence))
		k := SortKey{Attribute: in.Expect(ber.Octets)}
		k.Rule, _ = in.Optional(ber.Context(0, false))
		if flag, ok := in.Optional(ber.Context(1, false)); ok {
			reverse, err := ber.ParseBool(flag)
			if err != nil {
				return nil, ErrMalformed
			}
			k.Reverse = reverse
		}
		if in.Done() != nil || len(keys) == maxSortKeys {
			return nil, ErrMalformed
		}
		keys = append(keys, k)
	}
	if outer.Done() != nil || list.Done() != nil || len(keys) == 0 {
		return nil, ErrMalformed
	}
	return keys, nil
}

// Sorted makes the answer to a sort: the attribute named is the one at fault, when one is.
func Sorted(code Code, attribute []byte) ResponseControl {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Enumerated, int32(code))
	if attribute != nil {
		b = ber.Append(b, ber.Context(0, false), attribute)
	}
	return ResponseControl{ControlSorted, ber.End(b, mark)}
}

// ParseValues reads the value of the control that asks for matched values alone (RFC 3876, 2): a list of filters, one of which a value must match.
func ParseValues(value []byte) (f filter.Filter, err error) {
	outer := ber.NewReader(value)
	items := outer.Expect(ber.Sequence)
	if outer.Done() != nil {
		return f, ErrMalformed
	}
	return f, f.DecodeItems(items)
}

// VLV asks for a window of a sorted list (draft-ietf-ldapext-ldapv3-vlv-09).
type VLV struct {
	Before, After int32
	ByValue       bool
	Offset        int32 // from 1
	Count         int32 // as the client knows it; zero: it does not
	Value         []byte
	Context       []byte
}

// ParseVLV reads the control's value.
func ParseVLV(value []byte) (v VLV, err error) {
	outer := ber.NewReader(value)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	const most = 1<<31 - 1
	v.Before, v.After = in.Int(ber.Integer, 0, most), in.Int(ber.Integer, 0, most)
	switch tag, target := in.Next(); tag {
	case ber.Context(0, true):
		at := ber.NewReader(target)
		v.Offset, v.Count = at.Int(ber.Integer, 0, most), at.Int(ber.Integer, 0, most)
		if at.Done() != nil {
			return v, ErrMalformed
		}
	case ber.Context(1, false):
		v.ByValue, v.Value = true, target
	default:
		return v, ErrMalformed
	}
	if in.Peek() == ber.Octets {
		v.Context = in.Expect(ber.Octets)
	}
	if outer.Done() != nil || in.Done() != nil {
		return v, ErrMalformed
	}
	return v, nil
}

// VLVResponse makes the control's answer.
func VLVResponse(position, count int32, code Code) ResponseControl {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, position)
	b = ber.AppendInt(b, ber.Integer, count)
	b = ber.AppendInt(b, ber.Enumerated, int32(code))
	return ResponseControl{ControlVLVAnswer, ber.End(b, mark)}
}

// ParseCancel reads the value of a request to cancel (RFC 3909): the id of the operation.
func ParseCancel(value []byte) (id int32, err error) {
	outer := ber.NewReader(value)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	id = in.Int(ber.Integer, 0, 1<<31-1)
	if outer.Done() != nil || in.Done() != nil {
		return 0, ErrMalformed
	}
	return id, nil
}
