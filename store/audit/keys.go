package audit

import (
	"encoding/binary"
	"time"

	"balorg/mail"
	"balorg/store"
)

func recordPrefix() []byte  { return []byte(store.PrefixAudit + "r/") }
func hourPrefix() []byte    { return []byte(store.PrefixAudit + "t/") }
func headKey() []byte       { return []byte(store.PrefixAudit + "h") }
func checkpointKey() []byte { return []byte(store.PrefixAudit + "c") }
func seedKey() []byte       { return []byte(store.PrefixAudit + "k") }

func mailboxPrefix(id mail.AccountID) []byte {
	return []byte(store.PrefixAudit + "m/" + string(id) + "/")
}

func personPrefix(id mail.AccountID) []byte {
	return []byte(store.PrefixAudit + "p/" + string(id) + "/")
}

func seqKey(prefix []byte, seq uint64) []byte { return binary.BigEndian.AppendUint64(prefix, seq) }

func recordKey(seq uint64) []byte { return seqKey(recordPrefix(), seq) }

// hourKey is the key of the hour that at lies in. Times before 1970 are counted to its first hour.
func hourKey(at time.Time) []byte {
	return seqKey(hourPrefix(), uint64(max(0, at.Unix()))/uint64(time.Hour/time.Second))
}
