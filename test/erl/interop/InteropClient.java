// SPDX-License-Identifier: Apache-2.0
// A stock jinterface node: does what docs/interop.md has rows for and prints
// `FEATURE yes` or `FEATURE no: why` for each.
//   InteropClient OWN_NAME COOKIE MEMBER PEER

import com.ericsson.otp.erlang.*;

public class InteropClient {
    static final long WAIT_MS = 10000;
    static OtpNode node;
    static OtpMbox mbox;
    static String member;
    static String peer;

    interface Feature {
        void run() throws Exception;
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    static void feature(String name, Feature feature) {
        try {
            mbox = node.createMbox();
            feature.run();
            System.out.println(name + " yes");
        } catch (Throwable why) {
            System.out.println(name + " no: " + why);
        }
    }

    static OtpErlangAtom atom(String name) {
        return new OtpErlangAtom(name);
    }

    static OtpErlangTuple tuple(OtpErlangObject... elements) {
        return new OtpErlangTuple(elements);
    }

    static OtpErlangObject next() throws Exception {
        OtpErlangObject message = mbox.receive(WAIT_MS);
        check(message != null, "no message");
        return message;
    }

    static OtpErlangTuple mfa(String module, String function, OtpErlangObject... args) {
        return tuple(atom(module), atom(function), new OtpErlangList(args));
    }

    static OtpErlangObject call(String target, OtpErlangTuple request) throws Exception {
        OtpErlangRef tag = node.createRef();
        mbox.send("quorate", target, tuple(atom("$gen_call"), tuple(mbox.self(), tag), request));
        OtpErlangTuple answer = (OtpErlangTuple) next();
        check(answer.elementAt(0).equals(tag), "another tag");
        return answer.elementAt(1);
    }

    static boolean isVersion(OtpErlangObject term) {
        return term instanceof OtpErlangBinary
            && new String(((OtpErlangBinary) term).binaryValue()).equals("0.1.0");
    }

    static void echoed(OtpErlangObject term) throws Exception {
        OtpErlangObject back = call(peer, mfa("t", "echo", term));
        check(back.equals(term), term + " came back as " + back);
    }

    public static void main(String[] args) throws Exception {
        node = new OtpNode(args[0], args[1]);
        member = args[2];
        peer = args[3];
        feature("ping", () -> check(node.ping(member, WAIT_MS), "pang"));
        feature("gen_call", () ->
            check(isVersion(call(member, mfa("quorate", "version"))), "no version"));
        feature("gen_cast", () -> {
            OtpErlangObject id = new OtpErlangBinary("by jinterface".getBytes());
            OtpErlangObject spec = tuple(atom("erlang"), atom("not_there"), new OtpErlangList());
            mbox.send("quorate", member, tuple(atom("$gen_cast"),
                mfa("quorate", "create_sandbox", id, spec, new OtpErlangMap())));
            for (int i = 0; i < 400; i++) {
                OtpErlangTuple found =
                    (OtpErlangTuple) call(member, mfa("quorate", "sandbox", id));
                if (found.elementAt(0).equals(atom("ok"))) {
                    return;
                }
                Thread.sleep(25);
            }
            check(false, "nothing was created");
        });
        feature("rex_call", () -> {
            mbox.send("rex", member, tuple(mbox.self(), tuple(atom("call"), atom("quorate"),
                atom("version"), new OtpErlangList(), atom("user"))));
            OtpErlangTuple answer = (OtpErlangTuple) next();
            check(answer.elementAt(0).equals(atom("rex"))
                && isVersion(answer.elementAt(1)), "no version");
        });
        feature("rpc_block_call", () -> {
            OtpErlangRef tag = node.createRef();
            mbox.send("rex", member, tuple(atom("$gen_call"), tuple(mbox.self(), tag),
                tuple(atom("block_call"), atom("quorate"), atom("version"), new OtpErlangList(),
                    mbox.self())));
            check(isVersion(((OtpErlangTuple) next()).elementAt(1)), "no version");
        });
        feature("undefined", () -> check(call(member, mfa("no", "such")).equals(
            tuple(atom("error"), tuple(atom("undef"), tuple(atom("no"), atom("such"),
                new OtpErlangInt(0))))), "another answer"));
        feature("links", () -> {
            OtpErlangPid self = (OtpErlangPid) call(peer, mfa("t", "self"));
            mbox.link(self);
            mbox.unlink(self);
            OtpErlangPid dead = new OtpErlangPid(self.node(), 77777, 7, self.creation());
            mbox.link(dead);
            try {
                next();
                check(false, "no exit");
            } catch (OtpErlangExit exit) {
                check(exit.reason().equals(atom("noproc")), "another reason");
            }
        });
        feature("messages", () -> {
            mbox.send("nobody_here", member, atom("hello"));
            OtpErlangObject sent = call(peer, mfa("t", "echo", mbox.self()));
            check(sent.equals(mbox.self()), "another pid");
            OtpErlangRef tag = node.createRef();
            mbox.send("quorate", peer, tuple(atom("$gen_call"), tuple(mbox.self(), tag),
                mfa("t", "send", mbox.self(), atom("here"))));
            OtpErlangObject first = next();
            OtpErlangObject second = next();
            check(first.equals(atom("here")) || second.equals(atom("here")), "no message");
        });
        feature("terms", () -> {
            echoed(new OtpErlangLong(-1));
            echoed(new OtpErlangLong(Long.MAX_VALUE));
            echoed(new OtpErlangLong(java.math.BigInteger.ONE.shiftLeft(200)));
            echoed(new OtpErlangDouble(1.5));
            echoed(new OtpErlangBinary(new byte[1000]));
            echoed(new OtpErlangString("text"));
            echoed(tuple(atom("a"), new OtpErlangList(atom("b")), new OtpErlangMap()));
        });
        feature("identifiers", () -> {
            echoed(mbox.self());
            echoed(node.createRef());
            echoed(node.createPort());
        });
        feature("atoms", () -> {
            echoed(atom("a".repeat(255)));
            echoed(atom("\u20ac".repeat(255)));
        });
        feature("big_values", () -> echoed(new OtpErlangBinary(new byte[16 * 1024 * 1024])));
        feature("wrong_cookie", () -> {
            OtpNode stranger = new OtpNode("stranger" + args[0], "another_cookie");
            check(!stranger.ping(member, 2000), "pong");
            stranger.close();
        });
        node.close();
        System.exit(0);
    }
}
