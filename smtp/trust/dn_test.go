package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// operator is written as the published list writes them.
const operator = `CN=mssante.chu-toulouse.fr,OU=318311012300018,O=CHU de Toulouse\, Hôtel-Dieu,ST=Haute-Garonne (31),C=FR`

func dn(t *testing.T, s string) DN {
	t.Helper()
	d, err := ParseDN(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}

func TestEqualNames(t *testing.T) {
	for _, test := range []struct {
		name, other string
		want        bool
	}{
		{"itself", operator, true},
		{"reversed", `C=FR,ST=Haute-Garonne (31),O=CHU de Toulouse\, Hôtel-Dieu,OU=318311012300018,CN=mssante.chu-toulouse.fr`, true},
		{"case, spaces, quotes", `cn=MSSANTE.chu-toulouse.FR , ou = 318311012300018, o="chu  de TOULOUSE, HÔTEL-DIEU" ,S=haute-garonne (31),c=fr`, true},
		{"identifiers, escaped octets", `2.5.4.3=mssante.chu-toulouse.fr,OID.2.5.4.11=318311012300018,O=CHU de Toulouse\2C H\C3\B4tel-Dieu,ST=Haute-Garonne \(31\),C=FR`, false}, // \( is no escape
		{"identifiers", `2.5.4.3=mssante.chu-toulouse.fr,OID.2.5.4.11=318311012300018,O=CHU de Toulouse\2C H\C3\B4tel-Dieu,ST=Haute-Garonne (31),C=FR`, true},
		{"accent in two code points", strings.Replace(operator, "Hôtel", "Ho\u0302tel", 1), true},
		{"encoded value", strings.Replace(operator, "C=FR", "C=#13024652", 1), true},
		{"a comma that should be escaped", strings.Replace(operator, `\,`, ",", 1), true},
		{"another accent", strings.Replace(operator, "Hôtel", "Hotel", 1), false},
		{"another number", strings.Replace(operator, "318311012300018", "318311012300019", 1), false},
		{"one attribute less", strings.Replace(operator, ",ST=Haute-Garonne (31)", "", 1), false},
		{"one attribute more", operator + ",C=FR", false},
		{"neither order", `OU=318311012300018,CN=mssante.chu-toulouse.fr,O=CHU de Toulouse\, Hôtel-Dieu,ST=Haute-Garonne (31),C=FR`, false},
		{"value that looks like two attributes", `CN=mssante.chu-toulouse.fr\,OU=318311012300018,O=CHU de Toulouse\, Hôtel-Dieu,ST=Haute-Garonne (31),C=FR`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			other, err := ParseDN(test.other)
			if got := err == nil && other.Equal(dn(t, operator)); got != test.want {
				t.Errorf("equal: %v, want %v (%v)", got, test.want, err)
			}
		})
	}
	if dn(t, "CN=a+OU=b,C=FR").Equal(dn(t, "CN=a,OU=b,C=FR")) || !dn(t, "CN=a+OU=b,C=FR").Equal(dn(t, "OU=b+CN=a,C=FR")) {
		t.Error("attributes of one set are a set")
	}
	if !dn(t, `O=Clinique X, SAS + "Y" <Z>; fin,C=FR`).Equal(dn(t, `O=Clinique X\, SAS \+ \"Y\" \<Z\>\; fin,C=FR`)) {
		t.Error("signs that should be escaped are not taken for what they are")
	}
	if dn(t, "1.2.3=A").Equal(dn(t, "1.2.3=a")) {
		t.Error("case counts in an attribute that nothing is known of")
	}
	if (DN{}).Equal(DN{}) {
		t.Error("no name equals no name")
	}
}

func TestParseDNRefuses(t *testing.T) {
	for _, s := range []string{
		"", "CN", "CN=", "CN=,C=FR", "CN=a,", ",CN=a", "XX=a", "CN=a\x00b", "CN=a\\", "CN=a\\4", `CN="a`, `CN="a"b`, "CN=#13", "CN=#zz", "CN=#0500", "CN=#020101",
		"CN=a,XX=b", "CN=a,,C=FR", "1=a", "1.=a", "01.2=a", "CN=\xff", `CN=\FF`, "CN=" + strings.Repeat("x", maxDN), strings.Repeat("CN=a,", maxAttributes) + "CN=a",
	} {
		if d, err := ParseDN(s); err == nil {
			t.Errorf("%.60q is taken as %q", s, d.key)
		}
	}
}

// certificate has a subject that is encoded as given.
func certificate(t *testing.T, subject pkix.RDNSequence) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func rdn(oid asn1.ObjectIdentifier, value any) pkix.RelativeDistinguishedNameSET {
	return pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}}
}

func TestMatchesCertificate(t *testing.T) {
	subject := pkix.RDNSequence{
		rdn(asn1.ObjectIdentifier{2, 5, 4, 6}, "FR"), rdn(asn1.ObjectIdentifier{2, 5, 4, 8}, "Haute-Garonne (31)"),
		rdn(asn1.ObjectIdentifier{2, 5, 4, 10}, "CHU de Toulouse, Hôtel-Dieu"), rdn(asn1.ObjectIdentifier{2, 5, 4, 11}, "318311012300018"),
		rdn(asn1.ObjectIdentifier{2, 5, 4, 3}, "mssante.chu-toulouse.fr"),
	}
	other, ours := dn(t, "CN=other,C=FR"), dn(t, operator)
	s := newSpace(&List{Entries: []Entry{{"chu.fr", other}, {"chu.fr", ours}, {"chu.fr", ours}, {"other.fr", other}, {"unread.fr", DN{}}}}, []string{"extra.fr", "chu.fr"})
	cert := certificate(t, subject)
	for domain, want := range map[string]bool{"chu.fr": true, "other.fr": false, "unread.fr": false, "extra.fr": false, "absent.fr": false, "sub.chu.fr": false} {
		if got := s.MatchesCertificate(domain, cert); got != want {
			t.Errorf("%s: %v, want %v", domain, got, want)
		}
	}
	if s.MatchesCertificate("chu.fr", nil) || s.KnowsCertificate(nil) {
		t.Error("no certificate matches")
	}
	if !s.KnowsCertificate(cert) || new(Space).KnowsCertificate(cert) {
		t.Error("a certificate of an operator is not known, or one of nobody is")
	}
	// The same in T61String, as ISO 8859-1.
	subject[2][0].Value = asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("CHU de Toulouse, H\xf4tel-Dieu")}
	if !s.MatchesCertificate("chu.fr", certificate(t, subject)) {
		t.Error("a subject in T61String does not match")
	}
	subject[4][0].Value = "evil.fr"
	if stranger := certificate(t, subject); s.MatchesCertificate("chu.fr", stranger) || s.KnowsCertificate(stranger) {
		t.Error("another subject matches")
	}
	if n := len(s.Operators("chu.fr")); n != 2 {
		t.Errorf("%d operators", n)
	}
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{operator, `CN="a,b"+OU=c;C=FR`, "C=#13024652", `CN=\C3\A9\ `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDN(s)
		if err == nil && !d.Equal(d) {
			t.Errorf("%q is not equal to itself", s)
		}
	})
}
