package ldapserver

import (
	"slices"
	"strconv"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// rootEntries are those that are no part of the directory: what the server can do, and the schema.
type rootEntries struct {
	plain, secured, subschema *entry.Entry
}

// dse is the root DSE: mechanisms that carry a password are offered within TLS only.
func (r *rootEntries) dse(secure bool) *entry.Entry {
	if secure {
		return r.secured
	}
	return r.plain
}

// controls are those announced.
var controls = []string{wire.ControlPaged, wire.ControlSort, wire.ControlVLV, wire.ControlValues, wire.ControlManageDsaIT}

func newRootEntries(names *directory.Names, opt *Options) rootEntries {
	root := func(mechanisms bool) *entry.Entry {
		e := new(entry.Entry)
		e.Set(schema.ObjectClass, "top")
		e.Set(schema.NamingContexts, names.Suffixes()...)
		e.Set(schema.SubschemaSubentry, directory.SubschemaName)
		e.Set(schema.SupportedLDAPVersion, strconv.Itoa(3))
		announced := controls
		if len(opt.Proxies) > 0 {
			announced = append(slices.Clip(announced), wire.ControlProxied)
		}
		e.Set(schema.SupportedControl, announced...)
		extensions := []string{wire.ExtensionWhoAmI, wire.ExtensionCancel}
		if opt.TLS != nil {
			extensions = append(extensions, wire.ExtensionStartTLS)
		}
		e.Set(schema.SupportedExtension, extensions...)
		e.Set(schema.SupportedFeatures, wire.FeatureAllOp, wire.FeatureTrueFalse)
		if mechanisms {
			var list []string
			for _, m := range opt.Auth.Mechanisms() {
				if offered(m) {
					list = append(list, m)
				}
			}
			e.Set(schema.SupportedSASLMechanisms, list...)
		}
		e.Set(schema.VendorName, "balorg")
		e.Set(schema.HasSubordinates, "TRUE")
		return e
	}
	s := &entry.Entry{DN: directory.SubschemaName}
	s.Set(schema.ObjectClass, "top", "subentry", "subschema")
	s.Set(schema.CN, "Subschema")
	s.Set(schema.StructuralObjectClass, "subentry")
	s.Set(schema.HasSubordinates, "FALSE")
	s.Set(schema.SubschemaSubentry, directory.SubschemaName)
	s.Set(schema.AttributeTypes, schema.DescribeAttributes()...)
	s.Set(schema.ObjectClasses, schema.DescribeClasses()...)
	s.Set(schema.MatchingRules, schema.DescribeRules()...)
	s.Set(schema.LDAPSyntaxes, schema.DescribeSyntaxes()...)
	return rootEntries{root(opt.InsecureBind), root(true), s}
}
