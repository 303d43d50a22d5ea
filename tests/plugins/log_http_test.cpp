// The HTTP sink against a receiver that does what receivers do: takes, delays, refuses, takes some, is away.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "logging/http_sink.h"
#include "plugins/log_receiver.h"
#include "plugins/log_support.h"

using namespace penstock::plugin::testing;
using namespace std::chrono_literals;
using logging::Loss;

namespace {

// Plays the receiver in the test's own thread; the writer's is the client.
class HttpReceiver {
 public:
  explicit HttpReceiver(Receiver::Begin begin = Receiver::Begin::listening) : port(begin) {}
  struct Request {
    std::string head, body;
  };
  Request request() {
    if (!peer) peer = port.accept();
    Request out;
    out.head = peer->read_through("\r\n\r\n");
    const size_t at = out.head.find("Content-Length: ");
    if (at == out.head.npos) throw e2e::Failure("no length:\n" + out.head);
    out.body = peer->read(std::stoul(out.head.substr(at + 16)));
    return out;
  }
  void answer(int status, const std::string& body = "{}", const std::string& fields = {}) {
    peer->send("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n" + fields + "\r\n" + body);
  }
  void hang_up() { peer.reset(); }

  Receiver port;
  std::unique_ptr<e2e::Client> peer;
};

// A worker and the writer behind it.
class Sender {
 public:
  Sender(const HttpReceiver& receiver, logging::HttpSettings settings, size_t queue = 1 << 16,
         std::chrono::milliseconds linger = log_patience) {
    std::string error;
    const logging::CurlLibrary* curl = logging::load_curl(error);
    if (curl == nullptr) throw std::runtime_error(error);
    settings.target.url = "http://" + receiver.port.address() + "/logs";
    if (settings.target.max_answer == 0) settings.target.max_answer = 1 << 20;
    writer_ = std::make_unique<logging::Writer>(
        [&](logging::Ending& ending) {
          return std::make_unique<logging::HttpSink>(*curl, settings, heard, ending);
        },
        heard, queue, linger);
    ring_ = writer_->attach();
  }
  ~Sender() { end(); }
  bool push(const std::string& line) {
    const bool there = ring_->push(line + "\n");
    writer_->pushed();
    return there;
  }
  void stop_pushing() {
    if (ring_ != nullptr) ring_->close();
    ring_ = nullptr;
    if (writer_) writer_->pushed();
  }
  void end() {
    stop_pushing();
    writer_.reset();
  }
  Heard heard;

 private:
  std::unique_ptr<logging::Writer> writer_;
  logging::Ring* ring_ = nullptr;
};

logging::HttpSettings quick() {
  logging::HttpSettings settings;
  settings.target.content_type = "application/x-ndjson";
  settings.target.timeout = log_patience;
  settings.flush_interval = 1ms;
  settings.retry = {1ms, 20ms, log_patience};
  return settings;
}

logging::HttpSettings bulk() {
  logging::HttpSettings settings = quick();
  settings.index = "access";
  // Batches end where the test says so: three records fill one.
  settings.flush_interval = log_patience;
  settings.batch = 3 * (std::string_view(R"({"create":{"_index":"access"}})"
                                         "\n{\"n\":1}\n")
                            .size());
  return settings;
}

constexpr const char* action = "{\"create\":{\"_index\":\"access\"}}\n";

}  // namespace

TEST_CASE("batches go out in order, one at a time, over one connection") {
  HttpReceiver receiver;
  logging::HttpSettings settings = quick();
  settings.target.fields = {"Authorization: Bearer secret-1"};
  Sender sender(receiver, settings);
  REQUIRE(sender.push("{\"n\":0}"));
  auto request = receiver.request();
  CHECK(request.head.starts_with("POST /logs HTTP/1.1\r\n"));
  CHECK(request.head.find("content-type: application/x-ndjson\r\n") != std::string::npos);
  CHECK(request.head.find("Authorization: Bearer secret-1\r\n") != std::string::npos);
  CHECK(request.head.find("Expect") == std::string::npos);
  std::string all = request.body;
  for (int i = 1; i < 200; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
  receiver.answer(200);
  while (std::count(all.begin(), all.end(), '\n') < 200) {
    all += receiver.request().body;
    receiver.answer(204, "");
  }
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += "{\"n\":" + std::to_string(i) + "}\n";
  CHECK(all == expected);
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("a batch that is full does not wait for the clock") {
  HttpReceiver receiver;
  Sender sender(receiver, bulk());
  for (int i = 1; i < 4; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
  CHECK(receiver.request().body ==
        std::string(action) + "{\"n\":1}\n" + action + "{\"n\":2}\n" + action + "{\"n\":3}\n");
  receiver.answer(200, R"({"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},)"
                       R"({"create":{"status":201}}]})");
}

TEST_CASE("429 and 5xx have the same batch sent again") {
  HttpReceiver receiver;
  Sender sender(receiver, quick());
  REQUIRE(sender.push("{\"n\":0}"));
  const std::string first = receiver.request().body;
  for (const int status : {429, 503, 500, 408}) {
    receiver.answer(status);
    CHECK(receiver.request().body == first);
  }
  receiver.answer(200);
  sender.heard.await_recovery();
  CHECK(sender.heard.all_lost() == 0);
  CHECK(sender.heard.failures().find("it answers 429") != std::string::npos);
}

TEST_CASE("Retry-After is granted, up to the longest pause") {
  HttpReceiver receiver;
  logging::HttpSettings settings = quick();
  settings.retry = {1ms, 1s, log_patience};
  Sender sender(receiver, settings);
  REQUIRE(sender.push("{\"n\":0}"));
  receiver.request();
  const auto asked = logging::Clock::now();
  receiver.answer(429, "", "Retry-After: 3600\r\n");
  receiver.request();
  CHECK(logging::Clock::now() - asked >= 1s);
  receiver.answer(200);
}

TEST_CASE("of a bulk answer's errors, only what may pass is sent again") {
  HttpReceiver receiver;
  Sender sender(receiver, bulk());
  for (int i = 1; i < 4; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
  receiver.request();
  receiver.answer(200, R"({"took":1,"errors":true,"items":[{"create":{"_index":"access","status":201}},)"
                       R"({"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}},)"
                       R"({"create":{"status":400,"error":{"type":"document_parsing_exception"}}}]})");
  CHECK(receiver.request().body == std::string(action) + "{\"n\":2}\n");
  receiver.answer(200,
                  R"({"errors":true,"items":[{"create":{"status":503,"error":{"type":"unavailable"}}}]})");
  CHECK(receiver.request().body == std::string(action) + "{\"n\":2}\n");
  receiver.answer(200, R"({"errors":false,"items":[{"create":{"status":201}}]})");
  // What follows is a batch of its own.
  for (int i = 4; i < 7; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
  CHECK(receiver.request().body.find("\"n\":4") != std::string::npos);
  receiver.answer(
      200, R"({"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]})");
  CHECK(sender.heard.lost(Loss::refused) == 1);
  CHECK(sender.heard.all_lost() == 1);
}

TEST_CASE("a bulk answer that is none costs its batch, once") {
  for (const char* wrong :
       {"", "<html>", "{}", R"({"items":[{"create":{"status":201}}]})", R"({"items":[{},{},{},{}]})"}) {
    CAPTURE(wrong);
    HttpReceiver receiver;
    Sender sender(receiver, bulk());
    for (int i = 1; i < 4; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
    receiver.request();
    receiver.answer(200, wrong);
    for (int i = 4; i < 7; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
    CHECK(receiver.request().body.find("\"n\":4") != std::string::npos);
    receiver.answer(
        200, R"({"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]})");
    CHECK(sender.heard.lost(Loss::refused) == 3);
  }
}

TEST_CASE("an answer that is too long is read to its end and not believed") {
  HttpReceiver receiver;
  logging::HttpSettings settings = bulk();
  settings.target.max_answer = 1024;
  Sender sender(receiver, settings);
  for (int i = 1; i < 4; ++i) REQUIRE(sender.push("{\"n\":" + std::to_string(i) + "}"));
  receiver.request();
  receiver.answer(
      200,
      R"({"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}],"x":")" +
          std::string(100'000, 'x') + "\"}");
  sender.heard.await_lost(Loss::refused, 3);
  CHECK(sender.heard.failures().find("max_answer") != std::string::npos);
}

TEST_CASE("what a receiver refuses is lost at once, and counted") {
  for (const int status : {400, 401, 403, 404, 413, 301}) {
    CAPTURE(status);
    HttpReceiver receiver;
    Sender sender(receiver, quick());
    REQUIRE(sender.push("{\"n\":0}"));
    receiver.request();
    receiver.answer(status, "no", "Location: http://127.0.0.1:1/\r\n");
    sender.heard.await_lost(Loss::refused, 1);
    CHECK(sender.heard.failures().find("status " + std::to_string(status)) != std::string::npos);
    REQUIRE(sender.push("{\"n\":1}"));
    CHECK(receiver.request().body == "{\"n\":1}\n");
    receiver.answer(200);
  }
}

TEST_CASE("a connection that breaks before the answer has the batch sent again on another") {
  HttpReceiver receiver;
  Sender sender(receiver, quick());
  REQUIRE(sender.push("{\"n\":0}"));
  CHECK(receiver.request().body == "{\"n\":0}\n");
  receiver.hang_up();
  CHECK(receiver.request().body == "{\"n\":0}\n");
  receiver.peer->reset();
  receiver.hang_up();
  CHECK(receiver.request().body == "{\"n\":0}\n");
  receiver.answer(200);
  sender.heard.await_recovery();
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE(
    "while a receiver is away lines wait, then they are dropped at the door and counted; the rest comes in "
    "order") {
  HttpReceiver receiver(Receiver::Begin::closed);
  logging::HttpSettings settings = quick();
  settings.batch = 4096;
  uint64_t pushed = 0, dropped = 0;
  Sender sender(receiver, settings, 4096);
  sender.push("{\"n\":0}");
  sender.heard.await_failure();
  for (pushed = 1; pushed < 3000; ++pushed) {
    if (!sender.push("{\"n\":" + std::to_string(pushed) + "}")) ++dropped;
  }
  CHECK(dropped > 0);
  receiver.port.listen();
  sender.stop_pushing();
  uint64_t got = 0;
  int64_t last = -1;
  while (got + dropped < pushed) {
    const std::string body = receiver.request().body;
    for (size_t at = 0; at < body.size(); at = body.find('\n', at) + 1, ++got) {
      const int64_t n = std::stoll(body.substr(at + 5));
      REQUIRE(n > last);
      last = n;
    }
    receiver.answer(200);
  }
  CHECK(got + dropped == pushed);
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("lines that were tried for long enough are given up, and the next ones go on") {
  HttpReceiver receiver;
  logging::HttpSettings settings = quick();
  settings.retry.give_up = 0ms;
  Sender sender(receiver, settings);
  REQUIRE(sender.push("{\"n\":0}"));
  receiver.request();
  receiver.answer(503);
  sender.heard.await_lost(Loss::unavailable, 1);
  REQUIRE(sender.push("{\"n\":1}"));
  CHECK(receiver.request().body == "{\"n\":1}\n");
  receiver.answer(200);
}

TEST_CASE("a receiver that never answers cannot hold up the end") {
  HttpReceiver receiver;
  Sender sender(receiver, quick(), 1 << 16, 50ms);
  REQUIRE(sender.push("{\"n\":0}"));
  receiver.request();
  REQUIRE(sender.push("{\"n\":1}"));
  const auto begin = logging::Clock::now();
  sender.end();
  CHECK(logging::Clock::now() - begin < log_patience);  // which is how long an answer may take
  CHECK(sender.heard.lost(Loss::shutdown) == 2);
}

TEST_CASE("what is queued at the end still goes out") {
  HttpReceiver receiver;
  Sender sender(receiver, bulk());
  REQUIRE(sender.push("{\"n\":1}"));  // not a full batch
  std::thread ending([&] { sender.end(); });
  CHECK(receiver.request().body == std::string(action) + "{\"n\":1}\n");
  receiver.answer(200, R"({"items":[{"create":{"status":201}}]})");
  ending.join();
  CHECK(sender.heard.all_lost() == 0);
}
