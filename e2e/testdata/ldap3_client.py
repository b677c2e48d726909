# Python's ldap3 as an application uses it: a server with its schema read, a bind over TLS, searches, pages, a comparison.
import ssl, sys
from ldap3 import ALL, Connection, Server, SUBTREE, Tls

host, port, plain, ca, user, password = sys.argv[1:7]
tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=ca, valid_names=["localhost"])
suffix = "dc=mssante,dc=fr"

server = Server(host, int(port), use_ssl=True, tls=tls, get_info=ALL)
with Connection(server, user, password, auto_bind=True, raise_exceptions=True) as c:
    assert suffix in server.info.naming_contexts, server.info
    assert "1.2.840.113556.1.4.319" in [x[0] for x in server.info.supported_controls]
    for name in ("TypeBAL", "IdentifiantPP", "cn", "mail"):
        assert name in server.schema.attribute_types, name
    bal = server.schema.object_classes["mssanteMailbox"]
    assert "TypeBAL" in bal.must_contain and "mail" in bal.must_contain, bal
    # check_names is on: the library refuses attributes that the schema does not have.
    assert c.search(suffix, "(&(sn=durand)(TypeBAL=PER))", SUBTREE, attributes=["cn", "mail", "IdentifiantPP"])
    entry = c.entries[0]
    print("found", entry.mail.value, entry.IdentifiantPP.value)
    assert not c.search(suffix, "(sn=petit)", SUBTREE)
    pages = list(c.extend.standard.paged_search(suffix, "(objectClass=person)", SUBTREE, attributes=["mail"], paged_size=3, generator=True))
    mails = [e["attributes"]["mail"] for e in pages if e["type"] == "searchResEntry"]
    print("paged", len(mails), len(set(map(str, mails))))
    assert c.compare("mail=claire.durand@sapins.mssante.fr,ou=local," + suffix, "sn", "DURAND")
    print("whoami", c.extend.standard.who_am_i())

server = Server(host, int(plain), tls=tls)
c = Connection(server, user, password, raise_exceptions=True)
c.open()
c.start_tls()
c.bind()
print("starttls", c.extend.standard.who_am_i())
c.unbind()
