package wire

import "strconv"

// codeNames are the names of RFC 4511, appendix A, and of the extensions.
var codeNames = map[Code]string{
	Success: "success", OperationsError: "operationsError", ProtocolError: "protocolError", TimeLimitExceeded: "timeLimitExceeded",
	SizeLimitExceeded: "sizeLimitExceeded", CompareFalse: "compareFalse", CompareTrue: "compareTrue", AuthMethodNotSupported: "authMethodNotSupported",
	AdminLimitExceeded: "adminLimitExceeded", UnavailableCriticalExtension: "unavailableCriticalExtension",
	ConfidentialityRequired: "confidentialityRequired", SASLBindInProgress: "saslBindInProgress", NoSuchAttribute: "noSuchAttribute",
	UndefinedAttributeType: "undefinedAttributeType", InappropriateMatching: "inappropriateMatching", InvalidAttributeSyntax: "invalidAttributeSyntax",
	NoSuchObject: "noSuchObject", InvalidDNSyntax: "invalidDNSyntax", InvalidCredentials: "invalidCredentials",
	InsufficientAccessRights: "insufficientAccessRights", Busy: "busy", Unavailable: "unavailable", UnwillingToPerform: "unwillingToPerform",
	SortControlMissing: "sortControlMissing", OffsetRangeError: "offsetRangeError", Other: "other", Canceled: "canceled", NoSuchOperation: "noSuchOperation",
	TooLate: "tooLate", CannotCancel: "cannotCancel", AuthorizationDenied: "authorizationDenied",
}

func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return strconv.Itoa(int(c))
}

// CodeNames are all codes that are answered, with their names.
func CodeNames() map[Code]string { return codeNames }
