#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "logging/line.h"
#include "logging/records.h"
#include "logging/redaction.h"
#include "logging/ring.h"
#include "logging/template.h"
#include "logging/writer.h"
#include "penstock_plugin.hpp"
#include "plugins/harness.h"
#include "plugins/log_support.h"

using namespace penstock::plugin::testing;
using nlohmann::json;

namespace {

std::string file_text(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  std::string out;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) out.append(buffer, n);
  std::fclose(file);
  return out;
}

gw_summary summary() {
  gw_summary s{};
  s.struct_size = sizeof s;
  s.status = 200;
  s.http_major = s.http_minor = 1;
  s.start_wall_ns = 1'800'000'000'123'456'789;
  s.total_ns = 412'345;
  s.first_byte_ns = s.upstream_ns = s.queue_ns = s.auth_ns = -1;
  s.response_body_bytes = 17;
  s.route = gw::str("orders");
  s.request_id = gw::str("req-1");
  s.protocol = gw::str("HTTP/1.1");
  return s;
}

}  // namespace

TEST_CASE("any bytes at all make one line of valid JSON") {
  std::mt19937 random(3);
  const logging::Redaction none({}, {});
  logging::Line line;
  logging::SecondText time;
  const gw_summary s = summary();
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(random() % 60, ' ');
    for (char& c : bytes)
      c = static_cast<char>(round % 2 == 0 ? random()
                                           : "\"\\\n\r\t\x7f\x80\xc3\xa4\xed\xa0\xf4"[random() % 12]);
    line.clear();
    logging::write_json(line, {s, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, {}}, none, time);
    const std::string_view text = line.text();
    REQUIRE(text.back() == '\n');
    REQUIRE(text.substr(0, text.size() - 1).find_first_of(std::string_view("\n\r\0", 3)) == text.npos);
    const json parsed = json::parse(text, nullptr, false);
    REQUIRE(!parsed.is_discarded());
    if (!bytes.empty()) REQUIRE(parsed.contains("url.path"));
  }
}

TEST_CASE("JSON keeps what is valid UTF-8 and replaces what is not") {
  logging::Line line;
  line.json(
      "plain ascii text, longer than eight; \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \"q\" \\ \x01 \xff \xc0\xaf "
      "\xed\xa0\x80");
  const json parsed = json::parse("\"" + std::string(line.text()) + "\"");
  CHECK(
      parsed.get<std::string>() ==
      "plain ascii text, longer than eight; \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \"q\" \\ \x01 \xef\xbf\xbd "
      "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("the JSON record has the flat names and leaves out what is unknown") {
  logging::Line line;
  logging::SecondText time;
  gw_summary s = summary();
  s.reason = gw::str("limit.rate");
  s.plugin = gw::str("per-consumer");
  s.status = 429;
  logging::write_json(line,
                      {s,
                       "GET",
                       "/v2/orders/17",
                       "a=1&token=x",
                       "api.example.com",
                       "203.0.113.9",
                       "mobile-app",
                       "v2",
                       {},
                       {}},
                      logging::Redaction({}, {"token"}), time);
  CHECK(
      line.text() ==
      R"({"timestamp":"2027-01-15T08:00:00.123Z","http.response.status_code":429,"penstock.route":"orders",)"
      R"("penstock.reason":"limit.rate","penstock.plugin":"per-consumer","penstock.request_id":"req-1",)"
      R"("network.protocol.version":"1.1","http.response.body.size":17,"duration.total":0.000412,"client.address":"203.0.113.9",)"
      R"("penstock.api_version":"v2","penstock.consumer":"mobile-app","http.request.method":"GET",)"
      R"("server.address":"api.example.com","url.path":"/v2/orders/17","url.query":"a=1&token=***"})"
      "\n");
}

TEST_CASE("common and combined are what log readers expect, with quotes and control bytes escaped") {
  logging::Line line;
  logging::SecondText time;
  const gw_summary s = summary();
  const logging::Redaction none({}, {});
  logging::write_common(line, {s, "GET", "/a", {}, {}, "203.0.113.9", {}, {}, {}, {}}, none, time);
  CHECK(line.text() == "203.0.113.9 - - [15/Jan/2027:08:00:00 +0000] \"GET /a HTTP/1.1\" 200 17\n");
  line.clear();
  logging::write_combined(
      line, {s, "GET", "/a\"b", "x=\n", {}, "203.0.113.9", "mobile app", {}, "curl\\", "http://r/"}, none,
      time);
  CHECK(line.text() ==
        "203.0.113.9 - \"mobile app\" [15/Jan/2027:08:00:00 +0000] \"GET /a\\x22b?x=\\x0a HTTP/1.1\" 200 17 "
        "\"http://r/\" \"curl\\x5c\"\n");
}

TEST_CASE("a value is bounded once it is escaped, never cut within an escape or a character") {
  using logging::Line;
  Line line;
  for (const std::string unit :
       {"x", "\x01", "\"", "\\", "\xff", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    for (size_t shift = 0; shift < 7; ++shift) {
      CAPTURE(unit);
      CAPTURE(shift);
      std::string text(shift, 'y');
      while (text.size() < 3 * Line::max_value) text += unit;
      line.clear();
      line.json(text);
      REQUIRE(line.text().size() <= Line::max_value);
      REQUIRE(line.text().size() > Line::max_value - 6);
      REQUIRE_FALSE(json::parse("\"" + std::string(line.text()) + "\"", nullptr, false).is_discarded());
      line.clear();
      line.escaped(text);
      REQUIRE(line.text().size() <= Line::max_value);
      REQUIRE(line.text().size() > Line::max_value - 4);
    }
  }
}

TEST_CASE("a query of many pieces is one value with one bound") {
  logging::Line line;
  std::string query;
  while (query.size() < 10'000) query += "\x01&token=secret&";
  logging::write_query(line, query, logging::Redaction({}, {"token"}));
  CHECK(line.text().size() <= logging::Line::max_value);
  CHECK(line.text().starts_with("\\x01&token=***&\\x01&token=***"));
}

TEST_CASE("however much the client sends, the line is valid JSON and keeps what is the gateway's") {
  logging::Line line;
  logging::SecondText time;
  gw_summary s = summary();
  s.status = 429;
  s.first_byte_ns = s.upstream_ns = s.queue_ns = s.auth_ns = 5'000;
  s.reason = gw::str("limit.rate");
  for (const char byte : {'x', '\x01', '"', '\\', '\xff'}) {
    for (size_t size = 1900; size < 20'000; size += 301) {
      const std::string junk(size, byte);
      line.clear();
      logging::write_json(line, {s, junk, junk, junk, junk, junk, junk, junk, junk, {}},
                          logging::Redaction({}, {"token"}), time);
      const std::string_view text = line.text();
      REQUIRE(text.size() <= logging::Line::capacity);
      REQUIRE(text.ends_with("}\n"));
      const json parsed = json::parse(text, nullptr, false);
      REQUIRE_FALSE(parsed.is_discarded());
      CHECK(parsed["http.response.status_code"] == 429);
      CHECK(parsed["penstock.reason"] == "limit.rate");
      CHECK(parsed["penstock.route"] == "orders");
      CHECK(parsed["penstock.request_id"] == "req-1");
      CHECK(parsed["duration.total"] == 0.000412);
      CHECK(parsed.contains("client.address"));
      CHECK(parsed.contains("url.path"));
    }
  }
}

TEST_CASE("a line that is full leaves out whole members") {
  logging::SecondText time;
  gw_summary s = summary();
  // Everything that is text is as long as it can be: not all of it fits.
  const std::string junk(5000, '\x01');
  s.route = s.upstream = s.endpoint = s.plugin = s.request_id = s.trace_id = gw::str(junk);
  logging::Line line;
  logging::write_json(line, {s, junk, junk, junk, junk, junk, junk, junk, junk, {}},
                      logging::Redaction({}, {}), time);
  CHECK(line.text().size() <= logging::Line::capacity);
  const json parsed = json::parse(line.text(), nullptr, false);
  REQUIRE_FALSE(parsed.is_discarded());
  CHECK(parsed["http.response.status_code"] == 200);
  CHECK_FALSE(parsed.contains("user_agent.original"));
}

TEST_CASE("numbers and durations are written without a locale or rounding up") {
  logging::Line line;
  for (const int64_t ns : {int64_t{0}, int64_t{999}, int64_t{1000}, int64_t{412'999}, int64_t{1'000'000'000},
                           int64_t{61'000'001'999}, int64_t{-5}}) {
    line.seconds(ns);
    line.raw(' ');
  }
  CHECK(line.text() == "0.000000 0.000000 0.000001 0.000412 1.000000 61.000001 0.000000 ");
}

TEST_CASE("hidden query parameters are hidden however they are encoded") {
  const logging::Redaction r({"X-Secret"}, {"token", "api_key"});
  const auto masked = [&](std::string_view query) {
    std::string out;
    r.query(query, [&](std::string_view piece) { out += piece; });
    return out;
  };
  CHECK(masked("a=1&token=abc&b=2") == "a=1&token=***&b=2");
  CHECK(masked("t%6fken=abc") == "t%6fken=***");
  CHECK(masked("api%5Fkey=abc&") == "api%5Fkey=***&");
  CHECK(masked("tokens=abc&xtoken=1&token") == "tokens=abc&xtoken=1&token");
  CHECK(masked("token=a=b&&token=") == "token=***&&token=***");
  CHECK(masked("") == "");
  CHECK(r.hides_header("Authorization"));
  CHECK(r.hides_header("x-secret"));
  CHECK_FALSE(r.hides_header("accept"));
  CHECK(r.hides_attribute("cookie.session"));
  CHECK(r.hides_attribute("query.token"));
  CHECK_FALSE(r.hides_attribute("query.page"));
}

TEST_CASE("templates take {attributes}, doubled braces are braces") {
  std::string error;
  const auto pieces = logging::parse_template("{request.method} {{x}} {response.status}", error);
  CHECK(error == "");
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[0].text == "request.method");
  CHECK(pieces[1].text == " {x} ");
  CHECK(pieces[2].text == "response.status");
  for (const char* wrong : {"{", "}", "{}", "a {b", "a } b"}) {
    CAPTURE(wrong);
    error.clear();
    logging::parse_template(wrong, error);
    CHECK(error != "");
  }
}

TEST_CASE("a ring gives out what went in, in order, over its end, and refuses when full") {
  logging::Ring ring(4096);
  std::string expected, got;
  std::mt19937 random(11);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string line = std::to_string(i) + std::string(random() % 300, 'x') + "\n";
    if (ring.push(line)) {
      expected += line;
    } else {
      ++refused;
    }
    if (random() % 8 == 0) {
      const auto span = ring.peek(1 + random() % 3000);
      got += span.first;
      got += span.second;
      ring.pop(span.size());
    }
  }
  const auto rest = ring.peek(1 << 20);
  got += rest.first;
  got += rest.second;
  CHECK(got == expected);
  CHECK(refused > 0);
}

TEST_CASE("lines of several threads arrive whole, each thread's in order, none lost uncounted") {
  Folder folder;
  const std::string path = folder.path + "/access.log";
  constexpr int threads = 4, lines = 20'000;
  std::atomic<uint64_t> dropped{0};
  Heard heard;
  {
    logging::Writer writer(to_file(path, heard), heard, 1 << 16, log_patience);
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        logging::Ring* ring = writer.attach();
        for (int i = 0; i < lines; ++i) {
          const std::string line =
              std::to_string(t) + " " + std::to_string(i) + " " + std::string(50, 'x') + "\n";
          if (ring->push(line)) {
            writer.pushed();
          } else {
            ++dropped;
          }
        }
        ring->close();
        writer.pushed();
      });
    }
    workers.clear();
  }
  const std::string text = file_text(path);
  int last[threads] = {-1, -1, -1, -1};
  uint64_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const size_t end = text.find('\n', at);
    REQUIRE(end != text.npos);
    int thread = 0, number = 0;
    REQUIRE(std::sscanf(text.c_str() + at, "%d %d", &thread, &number) == 2);
    REQUIRE(end - at == std::to_string(thread).size() + std::to_string(number).size() + 52);
    REQUIRE(number > last[thread]);
    last[thread] = number;
    at = end + 1;
  }
  CHECK(count + dropped == threads * lines);
  CHECK(heard.all_lost() == 0);
  CHECK(heard.failures() == "");
}

TEST_CASE("a rotated file is opened anew") {
  Folder folder;
  const std::string path = folder.path + "/access.log";
  Heard heard;
  {
    logging::Writer writer(to_file(path, heard), heard, 1 << 16, log_patience);
    logging::Ring* ring = writer.attach();
    ring->push("before\n");
    writer.pushed();
    // Wait for the write, not for a time: the file grows.
    while (file_text(path).empty()) std::this_thread::yield();
    ::rename(path.c_str(), (path + ".1").c_str());
    writer.reopen();
    while (::access(path.c_str(), F_OK) != 0) std::this_thread::yield();
    ring->push("after\n");
    writer.pushed();
    while (file_text(path).empty()) std::this_thread::yield();
    // A folder that is gone: a complaint, and the old file goes on.
    std::filesystem::rename(folder.path, folder.path + ".moved");
    writer.reopen();
    heard.await_failure();
    std::filesystem::rename(folder.path + ".moved", folder.path);
    ring->push("still\n");
    ring->close();
    writer.pushed();
  }
  CHECK(file_text(path + ".1") == "before\n");
  CHECK(file_text(path) == "after\nstill\n");
}

TEST_CASE("a pipe that nobody reads never holds up the workers, and the end waits only so long") {
  Folder folder;
  const std::string path = folder.path + "/pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDWR | O_NONBLOCK);
  const std::string junk(4096, ' ');
  while (::write(reader, junk.data(), junk.size()) > 0) continue;  // no room from the beginning
  Heard heard;
  uint64_t refused = 0;
  {
    logging::Writer writer(to_file(path, heard), heard, 4096, std::chrono::milliseconds(50));
    logging::Ring* ring = writer.attach();
    const std::string line(999, 'x');
    for (int i = 0; i < 1000; ++i) {
      if (ring->push(line + "\n")) {
        writer.pushed();
      } else {
        ++refused;
      }
    }
    ring->close();
    writer.pushed();
  }
  ::close(reader);
  CHECK(refused > 0);
  CHECK(heard.lost(logging::Loss::shutdown) > 0);
  CHECK(refused + heard.all_lost() == 1000);
}

TEST_CASE("the logging plugin writes one line for each exchange, sampled and masked as configured") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("logging")) == "");
  auto* all = w.make("logging", "access_log[0]", R"({"file": "all.log"})");
  REQUIRE_MESSAGE(all != nullptr, w.messages());
  auto* errors = w.make("logging", "access_log[1]",
                        R"({"file": "errors.log", "sample": {"success": "0%", "slower_than": "1s"},
      "format": "{request.method} {request.path} {response.status} {reason} {duration.total} {header.authorization} {header.accept}"})");
  REQUIRE_MESSAGE(errors != nullptr, w.messages());
  const auto complete = [&](uint16_t status, int64_t total_ns, std::string_view reason) {
    Request r(w);
    r.header("authorization", "Bearer secret-token").header("accept", "text/html");
    penstock::proxy::Summary s;
    s.status = status;
    s.total_ns = total_ns;
    s.start_wall_ns = r.context.wall_ns;
    s.reason = reason;
    s.request_id = r.context.request_id;
    for (auto* filter : {all, errors}) filter->on_complete(r.call(*filter), s);
  };
  complete(200, 1000, "");
  complete(200, 2'000'000'000, "");
  complete(429, 1000, "limit.rate");
  w.stop_all();
  const std::string lines = file_text(folder.path + "/all.log");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 3);
  const json first = json::parse(lines.substr(0, lines.find('\n')));
  CHECK(first["url.path"] == "/orders/17");
  CHECK(first["http.response.status_code"] == 200);
  CHECK(first["penstock.request_id"] == "req-1");
  CHECK(file_text(folder.path + "/errors.log") ==
        "GET /orders/17 200  2.000000 *** text/html\nGET /orders/17 429 limit.rate 0.000001 *** text/html\n");
  CHECK(lines.find("secret-token") == lines.npos);
}

TEST_CASE("what authenticators read is masked in every format without being asked for") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("auth")) == "");
  REQUIRE(w.load(shipped("logging")) == "");
  REQUIRE(w.make("api_key", "keys", R"({"header": "User-Agent", "query": "api_key", "cookie": "key"})") !=
          nullptr);
  std::vector<penstock::proxy::Filter*> logs;
  const char* custom = "{request.query} {query.api_key} {cookie.key} {header.user-agent} {header.referer}";
  for (const std::string format : {"json", "common", "combined", custom}) {
    const json config{{"file", "access.log"}, {"format", format}};
    logs.push_back(w.make("logging", "log" + std::to_string(logs.size()), config.dump().c_str()));
    REQUIRE_MESSAGE(logs.back() != nullptr, w.messages());
  }
  Request r(w);
  r.query("a=1&api%5Fkey=se%63ret&api_key=secret").header("cookie", "key=secret");
  r.header("user-agent", "secret").header("referer", "https://site/page?b=2&api_key=secret");
  penstock::proxy::Summary s;
  s.status = 200;
  for (auto* filter : logs) filter->on_complete(r.call(*filter), s);
  w.stop_all();
  const std::string text = file_text(folder.path + "/access.log");
  CAPTURE(text);
  CHECK(text.find("secret") == text.npos);
  CHECK(text.find("se%63ret") == text.npos);
  CHECK(text.find(R"("url.query":"a=1&api%5Fkey=***&api_key=***")") != text.npos);
  CHECK(text.find("GET /orders/17?a=1&api%5Fkey=***&api_key=*** ") != text.npos);
  CHECK(text.find("\"https://site/page?b=2&api_key=***\" \"-\"") != text.npos);
  CHECK(text.find("*** *** *** https://site/page?b=2&api_key=***\n") != text.npos);
}

TEST_CASE("the reopen event reaches the writer") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("logging")) == "");
  REQUIRE(w.make("logging", "access_log[0]", R"({"file": "a.log"})") != nullptr);
  ::unlink((folder.path + "/a.log").c_str());
  w.host.notify(penstock::plugin::Event::reopen_logs);
  while (::access((folder.path + "/a.log").c_str(), F_OK) != 0) std::this_thread::yield();
  w.stop_all();
  w.host.notify(penstock::plugin::Event::reopen_logs);  // nobody is left to hear it
  CHECK(::access((folder.path + "/a.log").c_str(), F_OK) == 0);
}

TEST_CASE("a template has the phases and the refusing plugin; what is not known is empty") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("logging")) == "");
  auto* log = w.make("logging", "l", R"({"file": "a.log",
      "format": "{duration.first_byte} {duration.upstream} {duration.connect} {duration.auth}. {plugin} {attempts}"})");
  REQUIRE_MESSAGE(log != nullptr, w.messages());
  Request r(w);
  penstock::proxy::Summary s;
  s.status = 429;
  s.plugin = "per-consumer";
  s.attempts = 2;
  s.first_byte_ns = 1'500'000;
  s.upstream_ns = 2'000'000'000;
  s.auth_ns = 3'000;
  log->on_complete(r.call(*log), s);
  w.stop_all();
  CHECK(file_text(folder.path + "/a.log") == "0.001500 2.000000  0.000003. per-consumer 2\n");
}

TEST_CASE("what broke off counts as an error for the sampling, whatever its status") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("logging")) == "");
  auto* log =
      w.make("logging", "l", R"({"file": "a.log", "format": "{request.path}", "sample": {"success": "0%"}})");
  REQUIRE_MESSAGE(log != nullptr, w.messages());
  for (const bool broken : {false, true}) {
    Request r(w);
    r.context.sent_path = broken ? "/broken" : "/good";
    penstock::proxy::Summary s;
    s.status = 200;
    s.truncated = broken;
    log->on_complete(r.call(*log), s);
  }
  w.stop_all();
  CHECK(file_text(folder.path + "/a.log") == "/broken\n");
}

TEST_CASE("a wrong logging configuration is refused with the place") {
  World w;
  REQUIRE(w.load(shipped("logging")) == "");
  const auto refused = [&](const char* json_text, const char* part) {
    CAPTURE(json_text);
    CHECK(w.make("logging", "l", json_text) == nullptr);
    CHECK_MESSAGE(w.messages().find(part) != std::string::npos, w.messages());
  };
  refused(R"({"file": "/nowhere/at/all/a.log"})", "does not exist");
  refused(R"({"format": "jsno"})", "none of json, common, combined");
  refused(R"({"format": "{request.methd}"})", "'request.methd' is no attribute");
  refused(R"({"format": "{request.method"})", "without '}'");
  refused(R"({"sample": {"sucess": "1%"}})", "'sucess' is not known under plugins.l.sample");
  refused(R"({"sample": {"success": "often"}})", "plugins.l.sample.success");
  refused(R"({"queue": "1KiB"})", "must be from 4KiB");
  refused(R"({"file": "syslog:udp:127.0.0.1"})", "none of syslog:unix:PATH");
  refused(R"({"file": "http://u:p@host/"})", "holds credentials");
  refused(R"({"file": "stdout", "http": {}})", "'file' is no URL");
  refused(R"({"file": "stdout", "syslog": {}})", "'file' is no syslog receiver");
  refused(R"({"file": "syslog:udp:127.0.0.1:514", "syslog": {"app_name": "a b"}})",
          "must be 1 to 48 printable");
  refused(R"({"file": "syslog:udp:127.0.0.1:514", "syslog": {"facility": "x"}})",
          "plugins.l.syslog.facility");
  refused(R"({"file": "http://h/", "http": {"bulk": "Upper"}})", "must be lower-case letters");
  refused(R"({"file": "http://h/", "format": "common", "http": {"bulk": "x"}})", "takes records of JSON");
  refused(R"({"file": "http://h/", "http": {"headers": {"a b": "c"}}})", "no header field");
  refused(R"({"file": "http://h/", "http": {"ca": "/nowhere/ca.pem"}})", "cannot be read");
  refused(R"({"retry": {"first": "2s", "longest": "1s"}})", "is shorter than first");
}
