// Trailers between the versions, with every way in which a message can say how long it is. To HTTP/2 they go
// always; HTTP/1.1 has a place for them in chunked bodies alone, and a length that was said stays said.
#include <doctest/doctest.h>

#include "http/http2_frames.h"
#include "proxy/pipe.h"

using namespace penstock;
using namespace penstock::proxy;
using namespace penstock::proxy::testing;
namespace h2 = penstock::test::h2;

namespace {

enum class Speaks { http1, http2 };

// A client and a backend, each in its version.
struct Relay : Pipe {
  Speaks client_speaks, backend_speaks;
  h2::Reader client_reader, backend_reader;

  Relay(Speaks at_client, Speaks at_backend) : client_speaks(at_client), backend_speaks(at_backend) {
    if (backend_speaks == Speaks::http2) connector->settings.protocol = http::Protocol::http2;
    if (client_speaks == Speaks::http1) return;
    connection =
        http::make_http2_downstream(loop, std::make_unique<test::ScriptedTransport>(client), settings, *this);
    send(h2::hello() + h2::frame(h2::settings, h2::ack, 0));
    to_client();
  }

  // The backend is there, and can be sent what waits for it.
  void greet() {
    if (backend_speaks == Speaks::http2) answer(h2::setting({}) + h2::frame(h2::settings, h2::ack, 0));
  }
  void ask(std::string_view method = "GET") {
    if (client_speaks == Speaks::http1)
      send(std::string(method) + " / HTTP/1.1\r\nHost: x\r\n\r\n");
    else
      send(h2::head(1, h2::request(method, "/")));
    greet();
    to_backend();
  }
  // What came since the last time, without what is random in it.
  std::string to_client() {
    turn();
    std::string bytes = client.take();
    return without_ids(client_speaks == Speaks::http1 ? bytes : client_reader.text(bytes));
  }
  std::string to_backend() {
    turn();
    std::string bytes = backend().take();
    if (bytes.starts_with(h2::preface)) bytes.erase(0, h2::preface.size());
    return without_ids(backend_speaks == Speaks::http1 ? bytes : backend_reader.text(bytes));
  }
  static std::string without_ids(std::string text) {
    constexpr std::string_view name = "x-request-id";
    for (size_t at = 0; (at = text.find(name, at)) != text.npos;) {
      at += name.size() + 1;
      if (text[at] == ' ') ++at;
      text.replace(at, 32, "ID");
    }
    return text;
  }
};

const h2::Fields sum{{"x-sum", "1"}};

h2::Fields with_date(h2::Fields fields) {
  fields.insert(fields.begin(), {{":status", "200"}, {"date", "D"}});
  return fields;
}

struct Answer {
  const char* name;
  std::vector<std::string> frames;
  std::string http1, http2;  // as their clients get it
};

const std::vector<Answer>& answers() {
  constexpr int open = h2::end_headers;
  const std::string begin = "HTTP/1.1 200 OK\r\ndate: D\r\n", id = "x-request-id: ID\r\n";
  static const std::vector<Answer> all{
      {"a length of 0, then trailers",
       {h2::head(1, with_date({{"content-length", "0"}, {"trailer", "x-sum"}}), open), h2::head(1, sum)},
       begin + id + "content-length: 0\r\n\r\n",
       "HEADERS 1 :status=200 content-length=0 date=D trailer=x-sum x-request-id=ID | HEADERS 1 x-sum=1 END"},
      {"a length of 0, then an empty end",
       {h2::head(1, with_date({{"content-length", "0"}}), open), h2::body(1, "", h2::end_stream)},
       begin + id + "content-length: 0\r\n\r\n",
       "HEADERS 1 :status=200 content-length=0 date=D x-request-id=ID | DATA 1 0 END"},
      {"a length of 0 and no more",
       {h2::head(1, with_date({{"content-length", "0"}}))},
       begin + id + "content-length: 0\r\n\r\n",
       "HEADERS 1 :status=200 content-length=0 date=D x-request-id=ID END"},
      {"a length, then trailers",
       {h2::head(1, with_date({{"content-length", "5"}, {"trailer", "x-sum"}}), open), h2::body(1, "hello"),
        h2::head(1, sum)},
       begin + id + "content-length: 5\r\n\r\nhello",
       "HEADERS 1 :status=200 content-length=5 date=D trailer=x-sum x-request-id=ID | DATA 1 5 | "
       "HEADERS 1 x-sum=1 END"},
      {"a length and no trailers",
       {h2::head(1, with_date({{"content-length", "5"}}), open), h2::body(1, "hello", h2::end_stream)},
       begin + id + "content-length: 5\r\n\r\nhello",
       "HEADERS 1 :status=200 content-length=5 date=D x-request-id=ID | DATA 1 5 END"},
      {"no length, then trailers",
       {h2::head(1, with_date({{"trailer", "x-sum"}, {"trailer", "x-more"}}), open), h2::body(1, "hello"),
        h2::head(1, sum)},
       begin + "trailer: x-sum\r\ntrailer: x-more\r\n" + id +
           "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
       "HEADERS 1 :status=200 date=D trailer=x-sum trailer=x-more x-request-id=ID | DATA 1 5 | "
       "HEADERS 1 x-sum=1 END"},
      {"no length and no body, then trailers",
       {h2::head(1, with_date({}), open), h2::head(1, sum)},
       begin + id + "transfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n",
       "HEADERS 1 :status=200 date=D x-request-id=ID | HEADERS 1 x-sum=1 END"},
      {"trailers alone, as gRPC calls it",
       {h2::head(1, with_date({{"content-type", "application/grpc"}, {"grpc-status", "5"}}))},
       begin + "content-type: application/grpc\r\ngrpc-status: 5\r\n" + id + "content-length: 0\r\n\r\n",
       "HEADERS 1 :status=200 date=D content-type=application/grpc grpc-status=5 x-request-id=ID END"},
  };
  return all;
}

struct Request {
  const char* name;
  std::vector<std::string> sent;  // by the client
  Speaks client;
  std::string http1, http2;  // how its head and the rest end, as their backends get it
};

const std::vector<Request>& requests() {
  constexpr int open = h2::end_headers;
  const auto put = [](h2::Fields more, int flags = h2::end_headers) {
    return h2::head(1, h2::request("PUT", "/", more), flags);
  };
  const std::string chunks =
      "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
  static const std::vector<Request> all{
      {"a length of 0, then trailers",
       {put({{"content-length", "0"}, {"expect", "100-continue"}}), h2::head(1, sum)},
       Speaks::http2,
       "content-length: 0\r\n\r\n",
       " content-length=0 | HEADERS 1 x-sum=1 END"},
      {"a length of 0, then an empty end",
       {put({{"content-length", "0"}}), h2::body(1, "", h2::end_stream)},
       Speaks::http2,
       "content-length: 0\r\n\r\n",
       " content-length=0 | DATA 1 0 END"},
      {"a length of 0 and no more",
       {put({{"content-length", "0"}}, open | h2::end_stream)},
       Speaks::http2,
       "content-length: 0\r\n\r\n",
       " content-length=0 END"},
      {"a length, then trailers",
       {put({{"content-length", "5"}}), h2::body(1, "hello"), h2::head(1, sum)},
       Speaks::http2,
       "content-length: 5\r\n\r\nhello",
       " content-length=5 | DATA 1 5 | HEADERS 1 x-sum=1 END"},
      {"a length and no trailers",
       {put({{"content-length", "5"}}), h2::body(1, "hello", h2::end_stream)},
       Speaks::http2,
       "content-length: 5\r\n\r\nhello",
       " content-length=5 | DATA 1 5 END"},
      {"no length, then trailers",
       {put({}), h2::body(1, "hello"), h2::head(1, sum)},
       Speaks::http2,
       "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
       " | DATA 1 5 | HEADERS 1 x-sum=1 END"},
      {"chunks, then trailers",
       {chunks + "5\r\nhello\r\n", "0\r\nx-sum: 1\r\n\r\n"},
       Speaks::http1,
       "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
       " | DATA 1 5 | HEADERS 1 x-sum=1 END"},
      {"no chunk, then trailers",
       {chunks, "0\r\nx-sum: 1\r\n\r\n"},
       Speaks::http1,
       "transfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n",
       " | HEADERS 1 x-sum=1 END"},
  };
  return all;
}

}  // namespace

TEST_CASE("trailers of a backend of HTTP/2 reach every client that has a place for them") {
  for (const Answer& each : answers())
    for (Speaks client : {Speaks::http1, Speaks::http2})
      for (bool at_once : {true, false}) {
        CAPTURE(each.name);
        CAPTURE(at_once);
        Relay relay(client, Speaks::http2);
        relay.ask();
        std::string all, got;
        for (const std::string& frame : each.frames) {
          if (at_once) {
            all += frame;
            continue;
          }
          relay.answer(frame);
          const std::string part = relay.to_client();
          got += (client == Speaks::http2 && !got.empty() && !part.empty() ? " | " : "") + part;
        }
        if (at_once) {
          relay.answer(all);
          got = relay.to_client();
        }
        CHECK(got == (client == Speaks::http1 ? each.http1 : each.http2));
        CHECK(relay.at_rest());
        CHECK(relay.to_backend() == "");  // it is not told that its stream is not wanted
        CHECK(relay.cluster->idle_connections() == 1);
        CHECK(relay.client.end == Wire::End::open);
      }
}

TEST_CASE("trailers of a request reach every backend that has a place for them") {
  for (const Request& each : requests())
    for (Speaks backend : {Speaks::http1, Speaks::http2})
      for (bool at_once : {true, false}) {
        CAPTURE(each.name);
        CAPTURE(at_once);
        Relay relay(each.client, backend);
        std::string got;
        if (at_once) {
          std::string all;
          for (const std::string& part : each.sent) all += part;
          relay.send(all);
          relay.greet();
          got = relay.to_backend();
        } else {
          relay.send(each.sent[0]);
          relay.greet();
          got = relay.to_backend();
          for (size_t i = 1; i < each.sent.size(); ++i) {
            relay.send(each.sent[i]);
            const std::string part = relay.to_backend();
            got += (backend == Speaks::http2 && !part.empty() ? " | " : "") + part;
          }
        }
        const std::string& end = backend == Speaks::http1 ? each.http1 : each.http2;
        CHECK_MESSAGE(got.ends_with(end), got);
        CHECK(got.find("expect") == got.npos);
        relay.answer(backend == Speaks::http1
                         ? "HTTP/1.1 204 No Content\r\n\r\n"
                         : h2::head(1, {{":status", "204"}}, h2::end_headers | h2::end_stream));
        CHECK(relay.at_rest());
        CHECK(relay.cluster->idle_connections() == 1);
        CHECK(relay.client.end == Wire::End::open);
      }
}

TEST_CASE("what a message says of the trailers that it will have goes with them") {
  for (Speaks client : {Speaks::http1, Speaks::http2})
    for (Speaks backend : {Speaks::http1, Speaks::http2}) {
      Relay relay(client, backend);
      if (client == Speaks::http1)
        relay.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
      else
        relay.send(h2::head(1, h2::request("PUT", "/", {{"trailer", "x-sum"}}), h2::end_headers));
      relay.greet();
      const std::string got = relay.to_backend();
      CHECK_MESSAGE(
          got.find(backend == Speaks::http1 ? "\r\ntrailer: x-sum\r\n" : " trailer=x-sum ") != got.npos, got);
    }
}

TEST_CASE("an answer of no length that breaks before its end is no whole one to HTTP/2") {
  Relay relay(Speaks::http2, Speaks::http2);
  relay.ask();
  relay.answer(h2::head(1, with_date({{"content-length", "0"}}), h2::end_headers));
  CHECK(relay.to_client() == "HEADERS 1 :status=200 content-length=0 date=D x-request-id=ID");
  relay.answer(h2::reset(1, 2));
  CHECK(relay.to_client() == "RST 1 2");
  CHECK(relay.at_rest());
}

TEST_CASE("what may have no trailers is over with its head") {
  struct Case {
    const char *method, *code;
  };
  for (const Case& each : {Case{"HEAD", "200"}, Case{"GET", "204"}, Case{"GET", "304"}}) {
    CAPTURE(each.method);
    CAPTURE(each.code);
    Relay relay(Speaks::http2, Speaks::http2);
    relay.ask(each.method);
    relay.answer(h2::head(1, {{":status", each.code}, {"date", "D"}}, h2::end_headers) + h2::head(1, sum));
    CHECK(relay.to_client() == std::string("HEADERS 1 :status=") + each.code + " date=D x-request-id=ID END");
    CHECK(relay.at_rest());
  }
}
