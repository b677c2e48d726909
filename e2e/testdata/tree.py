"""Mirrors a person's whole tree with Python's imaplib, fetching what a file of an earlier run does not have yet.

usage: tree.py IMAPS-PORT CA PERSON PASSWORD FILE
Prints how many messages were fetched.
"""
import hashlib
import imaplib
import json
import os
import re
import ssl
import sys

port, ca, person, password, path = sys.argv[1:]
imaplib._MAXLINE = 10_000_000


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def number(data):
    return int(data[1][0])


kept = {}
if os.path.exists(path):
    with open(path) as f:
        kept = json.load(f)
c = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=ssl.create_default_context(cafile=ca))
ok(c.login(person, password))
tree, fetched = {}, 0
listed = re.compile(rb'\(([^)]*)\) "/" (?:"(.*)"|(\S+))$')
for line in ok(c.list()):
    attributes, quoted, atom = listed.match(line).groups()
    if b"\\noselect" in attributes.lower():
        continue
    name = (quoted or atom).decode()
    ok(c.select(f'"{name}"', readonly=True))
    validity = number(c.response("UIDVALIDITY"))
    old = kept.get(name)
    if old is None or old["UIDValidity"] != validity:
        old = {"Messages": {}}
    messages = {}
    for item in ok(c.uid("FETCH", "1:*", "(UID FLAGS RFC822.SIZE)")):
        if item is None:
            continue
        uid = re.search(rb"UID (\d+)", item).group(1).decode()
        size = int(re.search(rb"RFC822.SIZE (\d+)", item).group(1))
        flags = sorted(f for f in imaplib.ParseFlags(item) if f != b"\\Recent")
        digest = old["Messages"].get(uid, [None])[0]
        if digest is None:
            (_, octets), _ = ok(c.uid("FETCH", uid, "(BODY.PEEK[])"))
            assert len(octets) == size, (name, uid, size, len(octets))
            digest = hashlib.sha256(octets).hexdigest()
            fetched += 1
        messages[uid] = [digest, size, [f.decode() for f in flags]]
    tree[name] = {"UIDValidity": validity, "Messages": messages}
c.logout()
with open(path, "w") as f:
    json.dump(tree, f, indent=1, sort_keys=True)
print("fetched", fetched)
