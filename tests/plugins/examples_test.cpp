// The examples of the SDK do what their README says.
#include <doctest/doctest.h>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "plugins/harness.h"

using namespace penstock::plugin;
using namespace penstock::plugin::testing;
using penstock::proxy::Action;
using penstock::proxy::Explanation;
using penstock::proxy::Filter;
using penstock::proxy::Summary;

namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void write(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

// Knows when something was written in a folder.
struct Watch {
  explicit Watch(const std::string& folder) : descriptor(::inotify_init1(IN_CLOEXEC)) {
    ::inotify_add_watch(descriptor, folder.c_str(), IN_MODIFY);
  }
  ~Watch() { ::close(descriptor); }
  // False: nothing came for as long as a test may take.
  bool wait() const {
    pollfd ready{descriptor, POLLIN, 0};
    char events[4096];
    return ::poll(&ready, 1, 30'000) == 1 && ::read(descriptor, events, sizeof events) > 0;
  }
  int descriptor;
};

void complete(World& w, const Filter& filter, uint16_t status) {
  Request r(w);
  Summary summary;
  summary.status = status;
  summary.total_ns = 1'234'567;
  filter.on_complete(r.call(filter), summary);
}

const penstock::http::Field* field(const penstock::http::Message& head, std::string_view name) {
  for (const auto& one : head.headers.fields())
    if (one.name == name) return &one;
  return nullptr;
}

}  // namespace

TEST_CASE("example header_edit: the backend hears who asks, the client not what answers") {
  World w;
  REQUIRE(w.load(test_plugin("header_edit")) == "");
  auto* filter = w.make("header_edit", "edit", R"({"hide": ["server"]})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Request known(w), unknown(w);
  known.context.consumer_id = "alice";
  CHECK(known.header("x-user", "root").run(*filter) == Action::next);
  REQUIRE(field(known.head, "x-user") != nullptr);
  CHECK(field(known.head, "x-user")->value == "alice");
  CHECK(unknown.header("x-user", "root").run(*filter) == Action::next);
  CHECK(field(unknown.head, "x-user") == nullptr);
  CHECK(known.explain(*filter).verdict == Explanation::Verdict::next);

  known.answer.headers.add("server", "backend/1");
  known.answer.headers.add("etag", "1");
  known.context.response = &known.answer;
  CHECK(filter->on_response_headers(known.call(*filter)) == Action::next);
  CHECK(field(known.answer, "server") == nullptr);
  CHECK(field(known.answer, "etag") != nullptr);
  CHECK(w.make("header_edit", "bad", R"({"identity_header": "x user"})") == nullptr);
  CHECK(w.messages().find("is no name for a header") != std::string::npos);
}

TEST_CASE("example in_c: a client whose User-Agent has one of the texts is refused") {
  World w;
  REQUIRE(w.load(test_plugin("in_c")) == "");
  auto* filter = w.make("in_c", "clients", R"({"refuse": ["BadBot", "curl/"]})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  Request bad(w), tail(w), good(w), none(w);
  CHECK(bad.header("user-agent", "Mozilla (BadBot 3)").run(*filter) == Action::respond);
  CHECK(bad.context.local.status == 403);
  CHECK(bad.context.local.reason == "client.refused");
  CHECK(tail.header("user-agent", "curl/").run(*filter) == Action::respond);
  CHECK(good.header("user-agent", "curl").run(*filter) == Action::next);
  CHECK(none.run(*filter) == Action::next);
  CHECK(tail.explain(*filter).verdict == Explanation::Verdict::answer);
  for (const char* wrong : {"{}", R"({"refuse": "x"})", R"({"refuse": []})", R"({"refuse": ["a", ""]})",
                            R"({"refuse": [{}]})", R"({"refuse": ["a"], "more": 1})"}) {
    CAPTURE(wrong);
    CHECK(w.make("in_c", "wrong", wrong) == nullptr);
    CHECK_FALSE(w.messages().empty());
  }
}

TEST_CASE("example count_answers: one series for each class of status") {
  World w;
  REQUIRE(w.load(test_plugin("count_answers")) == "");
  auto* filter = w.make("count_answers", "count", "{}");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  for (const uint16_t status : {200, 204, 404, 0, 999}) complete(w, *filter, status);
  CHECK(w.counted("example_answers_total", "count", "2xx") == 2);
  CHECK(w.counted("example_answers_total", "count", "4xx") == 1);
  CHECK(w.counted("example_answers_total", "count", "none") == 2);
  CHECK(w.counted("example_answers_total", "count", "5xx") == 0);
}

TEST_CASE("example file_log: a line a request, and a new file when logs are reopened") {
  Folder folder;
  const std::string file = folder.path + "/requests.log";
  const std::string line = "GET /orders/17 200 1234\n";
  World w;
  w.files = {folder.path + "/gateway.yaml"};
  REQUIRE(w.load(test_plugin("file_log")) == "");
  auto* filter = w.make("file_log", "log", R"({"file": "requests.log"})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  const Watch watch(folder.path);
  complete(w, *filter, 200);
  REQUIRE(watch.wait());
  CHECK(text_of(file) == line);
  std::filesystem::rename(file, file + ".1");
  w.host.notify(Event::reopen_logs);
  complete(w, *filter, 200);
  w.stop_all();
  CHECK(text_of(file) == line);
  CHECK(text_of(file + ".1") == line);
  CHECK(w.make("file_log", "log", "{}") == nullptr);
}

TEST_CASE("example file_log: what cannot be written is counted") {
  World w;
  REQUIRE(w.load(test_plugin("file_log")) == "");
  auto* filter = w.make("file_log", "log", R"({"file": "/proc/nowhere/requests.log"})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  for (int i = 0; i < 3; ++i) complete(w, *filter, 200);
  w.stop_all();
  CHECK(w.counted("example_log_lost_total", "log") == 3);
  CHECK(w.log.find("the file cannot be opened") != std::string::npos);
}

TEST_CASE("example route_by_header: a header chooses the upstream") {
  World w;
  REQUIRE(w.load(test_plugin("route_by_header")) == "");
  auto* filter =
      w.make("route_by_header", "beta", R"({"header": "x-beta", "values": {"yes": {"upstream": "new"}}})");
  REQUIRE_MESSAGE(filter != nullptr, w.messages());
  REQUIRE(w.target_nodes.size() == 1);
  Request chosen(w), other(w), none(w);
  CHECK(chosen.header("x-beta", "yes").run(*filter) == Action::next);
  CHECK(chosen.context.target == w.snapshot.targets[0].get());
  CHECK(other.header("x-beta", "no").run(*filter) == Action::next);
  CHECK(other.context.target == nullptr);
  CHECK(none.run(*filter) == Action::next);
  CHECK(none.context.target == nullptr);
  CHECK(w.make("route_by_header", "wrong", R"({"header": "x-beta", "values": {"yes": {}}})") == nullptr);
  CHECK(w.messages().find("'yes' names no upstream") != std::string::npos);
}

TEST_CASE("example lookup: a request waits for its tenant, the worker does not") {
  Folder folder;
  write(folder.path + "/acme", "gold\n");
  World w;
  REQUIRE(w.load(test_plugin("lookup")) == "");
  auto* filter = w.make("lookup", "tenants", nlohmann::json{{"folder", folder.path}}.dump().c_str());
  REQUIRE_MESSAGE(filter != nullptr, w.messages());

  struct Waiting final : penstock::proxy::Resumable {
    explicit Waiting(penstock::net::Loop& l) : loop(l) {}
    bool resume(void* what) override {
      data = what;
      loop.stop();
      return true;
    }
    penstock::net::Loop& loop;
    void* data = nullptr;
  } waiting(w.loop);
  const auto asked = [&](Request& r) {
    r.context.resumable = &waiting;
    REQUIRE(r.run(*filter) == Action::pause);
    w.loop.serve();
    return filter->on_resume(r.call(*filter), waiting.data);
  };
  Request known(w), unknown(w), wrong(w), gone(w);
  CHECK(asked(known.header("x-tenant", "acme").header("x-plan", "forged")) == Action::next);
  REQUIRE(field(known.head, "x-plan") != nullptr);
  CHECK(field(known.head, "x-plan")->value == "gold");
  filter->on_complete(known.call(*filter), {});
  CHECK(asked(unknown.header("x-tenant", "nobody")) == Action::respond);
  CHECK(unknown.context.local.status == 403);
  filter->on_complete(unknown.call(*filter), {});
  CHECK(wrong.header("x-tenant", "../acme").run(*filter) == Action::respond);
  CHECK(wrong.context.local.status == 400);
  filter->on_complete(wrong.call(*filter), {});
  // A client that leaves while its tenant is looked up; a sanitizer build sees what is left of it.
  CHECK(gone.header("x-tenant", "acme").run(*filter) == Action::pause);
  filter->on_complete(gone.call(*filter), {});
  CHECK(w.host.tickets().waiting() == 0);
}
