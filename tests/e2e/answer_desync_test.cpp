// What backends send wrongly, through the daemon: none of it is passed on as an answer, none of it is left
// for the next exchange, and the connection of the client that did nothing wrong goes on.
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"
#include "e2e/harness/wire_server.h"
#include "fuzz/reference_reader.h"

using namespace e2e;
using namespace std::string_literals;
using Close = WireServer::Conversation::Close;

namespace {

enum class Ends { stays, closes, resets };

struct Answer {
  std::string name;
  std::string bytes;  // of the backend
  std::string seen;   // "200 hello", "502", "cut": each that the client may see, separated by " or "
  Ends ends = Ends::stays;
  std::string method = "GET";
  bool longer = false;  // something follows the whole answer
};

const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

std::string ok(std::string_view fields, std::string_view body = {}) {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::string chunked(std::string_view body) { return ok("Transfer-Encoding: chunked\r\n", body); }

std::vector<Answer> good_answers() {
  return {
      {"a length", ok("Content-Length: 5\r\n", "hello"), "200 hello"},
      {"chunks", chunked("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), "200 hello"},
      {"until close", ok("", "hello"), "200 hello", Ends::closes},
      {"until close in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", "200 hello", Ends::closes},
      {"HTTP/1.0 with keep-alive",
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", "200 hello"},
      {"close", ok("Connection: close\r\nContent-Length: 5\r\n", "hello"), "200 hello", Ends::closes},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n", "204 "},
      {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 "},
      {"HEAD", ok("Content-Length: 5\r\n"), "200 ", Ends::stays, "HEAD"},
      {"HEAD of chunks", chunked(""), "200 ", Ends::stays, "HEAD"},
      {"interim answers",
       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" +
           ok("Content-Length: 5\r\n", "hello"),
       "103 | 102 | 200 hello"},
  };
}

std::vector<Answer> bad_heads() {
  std::vector<Answer> out;
  auto bad = [&](const char* name, const std::string& bytes) {
    out.push_back({name, bytes, "502", Ends::closes});
  };
  bad("garbage", "hello\r\n\r\n" + evil);
  bad("HTTP/0.9", "<html>evil</html>");
  bad("an empty line first", "\r\n" + evil);
  bad("HTTP/2", "HTTP/2 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  bad("ICY", "ICY 200 OK\r\n\r\nevil");
  bad("status 600", "HTTP/1.1 600 X\r\nContent-Length: 4\r\n\r\nevil");
  bad("status 2000", "HTTP/1.1 2000 X\r\nContent-Length: 4\r\n\r\nevil");
  bad("LF alone", "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil");
  bad("a value split by CR", ok("A: b\rSet-Cookie: evil\r\nContent-Length: 0\r\n"));
  bad("a value split by LF", ok("A: b\nSet-Cookie: evil\r\nContent-Length: 0\r\n"));
  bad("a value split by LF LF", ok("A: b\n\n" + evil + "\r\nContent-Length: 0\r\n"));
  bad("NUL in a value", ok("A: b\0\r\nContent-Length: 0\r\n"s));
  bad("a folded line", ok("A: b\r\n evil\r\nContent-Length: 0\r\n"));
  bad("a blank before the colon", ok("Content-Length : 4\r\n", "evil"));
  bad("a line without a colon", ok("evil\r\nContent-Length: 0\r\n"));
  bad("length and chunks", ok("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + evil));
  bad("chunks and length", ok("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n" + evil));
  bad("two lengths", ok("Content-Length: 0\r\nContent-Length: 4\r\n", "evil"));
  bad("the same length twice", ok("Content-Length: 4\r\nContent-Length: 4\r\n", "evil"));
  bad("a list of lengths", ok("Content-Length: 4, 4\r\n", "evil"));
  bad("a signed length", ok("Content-Length: +4\r\n", "evil"));
  bad("a negative length", ok("Content-Length: -4\r\n", "evil"));
  bad("a length that is none", ok("Content-Length: evil\r\n"));
  bad("a length over 64 bits", ok("Content-Length: 18446744073709551620\r\n", "evil"));
  bad("a length that only looks like one", ok("Content_Length: 4\r\n", "evil"));
  bad("gzip and chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"));
  bad("identity", ok("Transfer-Encoding: identity\r\n", "evil"));
  bad("a coding that is none", ok("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"));
  bad("two codings", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  bad("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n");
  bad("Connection names the length", ok("Connection: content-length\r\nContent-Length: 4\r\n", "evil"));
  bad("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil");
  bad("204 with chunks",
      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n");
  bad("103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil" + evil);
  bad("100 in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n" + evil);
  bad("101 that nobody asked for", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nevil");
  bad("a head without end", ok("A: " + std::string(70'000, 'a') + "\r\n"));
  bad("an end within the head", "HTTP/1.1 200 OK\r\nContent-Le");
  return out;
}

// The head went out before the fault: what the client gets cannot look whole.
std::vector<Answer> bad_bodies() {
  std::vector<Answer> out;
  auto bad = [&](const char* name, const std::string& bytes, Ends ends = Ends::closes) {
    out.push_back({name, bytes, "cut or 502", ends});
  };
  bad("a length cut short", ok("Content-Length: 6\r\n", "hello"));
  bad("a length reset", ok("Content-Length: 6\r\n", "hello"), Ends::resets);
  bad("chunks cut short", chunked("5\r\nhello\r\n"));
  bad("chunks without their last line", chunked("5\r\nhello\r\n0\r\n"));
  bad("chunks reset", chunked("5\r\nhello\r\n"), Ends::resets);
  bad("until close, reset", ok("", "hello"), Ends::resets);
  bad("a chunk size that is none", chunked("5\r\nhello\r\nevil\r\n"), Ends::stays);
  bad("a chunk size over 63 bits", chunked("5\r\nhello\r\nffffffffffffffff\r\nevil"), Ends::stays);
  bad("a chunk longer than its size", chunked("5\r\nhelloevil\r\n0\r\n\r\n"), Ends::stays);
  bad("LF alone behind a size", chunked("5\nhello\r\n0\r\n\r\n"), Ends::stays);
  bad("a trailer that frames", chunked("5\r\nhello\r\n0\r\nContent-Length: 4\r\n\r\n"), Ends::stays);
  bad("a folded trailer", chunked("5\r\nhello\r\n0\r\nA: b\r\n evil\r\n\r\n"), Ends::stays);
  return out;
}

// Whole answers with something behind them, which is nobody's.
std::vector<Answer> long_answers() {
  std::vector<Answer> out;
  for (const std::string& more : {evil, "evil"s, "\r\n"s, "HTTP/1.1 100 Continue\r\n\r\n" + evil}) {
    out.push_back({"more than a length", ok("Content-Length: 5\r\n", "hello") + more, "200 hello"});
    out.push_back({"more than chunks", chunked("5\r\nhello\r\n0\r\n\r\n") + more, "200 hello"});
    out.push_back({"more than nothing", ok("Content-Length: 0\r\n") + more, "200 "});
    out.push_back({"204 with a body", "HTTP/1.1 204 No Content\r\n\r\n" + more, "204 "});
    out.push_back({"304 with a body", "HTTP/1.1 304 Not Modified\r\n\r\n" + more, "304 "});
    out.push_back({"304 with the body it announces",
                   "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + more, "304 "});
    out.push_back({"HEAD with a body", ok("Content-Length: 4\r\n") + more, "200 ", Ends::stays, "HEAD"});
  }
  for (Answer& answer : out) answer.longer = true;
  return out;
}

std::string many_interim() {
  std::string out;
  for (int i = 0; i < 2000; ++i) out += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  return out;
}

// GET /N: the N-th answer; GET /good/K: a good one that says K.
class Hostile {
 public:
  explicit Hostile(std::vector<Answer> answers)
      : answers_(std::move(answers)), server_([this](WireServer::Conversation& talk) { read(talk); }) {}
  const std::vector<Answer>& answers() const { return answers_; }
  std::string endpoint() const { return server_.endpoint(); }
  std::atomic<size_t> piece{SIZE_MAX};

 private:
  void read(WireServer::Conversation& talk) {
    auto reading = reference::read_request(std::string_view(talk.received).substr(talk.taken));
    if (talk.ended || reading.outcome != reference::Outcome::whole) return;
    talk.taken += reading.message.size;
    std::string target = reading.message.target.substr(1);
    if (target.starts_with("good/")) {
      talk.piece = SIZE_MAX;
      talk.to_send =
          "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(target.size()) + "\r\n\r\n" + target;
      return;
    }
    const Answer& answer = answers_.at(std::stoul(target));
    talk.to_send = answer.bytes;
    talk.piece = piece;
    if (answer.ends == Ends::closes) talk.close = Close::after_sending;
    if (answer.ends == Ends::resets) talk.close = Close::at_once;
  }
  std::vector<Answer> answers_;
  WireServer server_;
};

std::string configuration(const Hostile& backend) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

void ask(Client& client, const std::string& method, const std::string& target) {
  client.send(method + " /" + target + " HTTP/1.1\r\nhost: x\r\n\r\n");
}

// "103 | 200 hello"; "cut" when the answer did not come whole; of a 502 only the status.
std::string read_answer(Client& client, const std::string& method, bool& open) {
  std::string out;
  try {
    while (true) {
      Response response = client.read_response(method);
      CHECK(response.head.find("evil") == std::string::npos);
      out += (out.empty() ? "" : " | ") + std::to_string(response.status);
      if (response.status >= 100 && response.status < 200) continue;
      CHECK(response.body.find("evil") == std::string::npos);
      open = response.header("connection") != "close";
      return response.status == 502 ? out : out + " " + response.body;
    }
  } catch (const Failure&) {
    open = false;
    return "cut";
  }
}

double open_to_backends(const Gateway& gateway) {
  std::string text = get(gateway.status_port(), "/metrics").body;
  size_t at = text.find("\nhttp_client_open_connections ");
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(text.find(' ', at + 1)));
}

bool allowed(const std::string& seen, const std::string& choices) {
  return (" or " + choices + " or ").find(" or " + seen + " or ") != std::string::npos;
}

}  // namespace

TEST_CASE("no answer that breaks the rules is passed on, and none reaches the exchange behind it") {
  std::vector<Answer> all = good_answers();
  for (auto more : {bad_heads(), bad_bodies(), long_answers()})
    all.insert(all.end(), more.begin(), more.end());
  all.push_back({"interim answers without end", many_interim(), "502", Ends::stays});
  Hostile backend(std::move(all));
  Gateway gateway(configuration(backend));
  size_t exchanges = 0;
  for (size_t piece : {SIZE_MAX, size_t{1}}) {
    backend.piece = piece;
    for (size_t i = 0; i < backend.answers().size(); ++i) {
      const Answer& answer = backend.answers()[i];
      INFO(answer.name, ", in pieces: ", piece == 1);
      Client client(gateway.port());
      bool open = true;
      ask(client, answer.method, std::to_string(i));
      std::string seen = read_answer(client, answer.method, open);
      if (seen.starts_with("103") && seen.ends_with(" | 502"))
        seen = "502";  // some of the flood was passed on
      INFO(answer.seen);
      INFO(seen);
      CHECK(allowed(seen, answer.seen));
      ++exchanges;
      // A byte that is still on its way when the next request leaves cannot be told from its answer.
      auto until = Clock::now() + patience;
      while (answer.longer && open_to_backends(gateway) > 0) REQUIRE(left_ms(until) > 0);
      // Whoever comes next is answered with what was asked, the same client where it still can.
      Client other(gateway.port());
      for (Client* next : {&client, &other}) {
        if (next == &client && !open) continue;
        std::string good = "good/" + std::to_string(++exchanges);
        ask(*next, "GET", good);
        Response response = next->read_response();
        CHECK(response.status == 200);
        CHECK(response.body == good);
      }
    }
  }
  CHECK(gateway.stop(SIGTERM) == 0);
  std::string log = gateway.folder().read("access.log");
  CHECK(static_cast<size_t>(std::count(log.begin(), log.end(), '\n')) == exchanges);
}
