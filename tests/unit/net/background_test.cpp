#include "net/background.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <future>
#include <memory>
#include <thread>

#include "net/bounded_file.h"
#include "tls_support.h"

using namespace penstock::net;

TEST_CASE("work in the background runs on another thread while the loop goes on, and ends on the loop's") {
  LoopRunner runner;
  Background background(runner.loop);
  std::promise<void> turned;
  std::thread::id worked_on, ended_on;
  background.run(
      [&] {
        turned.get_future().wait();
        worked_on = std::this_thread::get_id();
      },
      [&] { ended_on = std::this_thread::get_id(); });
  CHECK(background.busy());
  runner.loop.post([&] { turned.set_value(); });
  runner.until([&] { return !background.busy(); });
  CHECK(worked_on != std::this_thread::get_id());
  CHECK(ended_on == std::this_thread::get_id());
}

TEST_CASE("of work in the background that nobody waits for any more nobody is told") {
  bool told = false;
  auto used = std::make_shared<int>(0);
  {
    LoopRunner runner;
    auto background = std::make_unique<Background>(runner.loop);
    std::promise<void> gone;
    background->run([used, left = gone.get_future().share()] { left.wait(), *used = 1; },
                    [&] { told = true; });
    background.reset();
    gone.set_value();
    runner.turns(3);
  }  // the loop waits for it
  CHECK(*used == 1);
  CHECK(!told);
}

TEST_CASE("a file is read whole, and only when it is one and within its bound") {
  TempFolder folder;
  const std::string path = folder.write("a", std::string(64 * 1024, 'x'));
  CHECK(read_file("a thing", path, 64 * 1024).value().size() == 64 * 1024);
  CHECK(read_file("a thing", folder.write("empty", ""), 1024).value().empty());
  folder.write("a", std::string(64 * 1024 + 1, 'x'));
  CHECK(read_file("a thing", path, 64 * 1024).error() ==
        "cannot read a thing '" + path + "': it is too large, 64 KiB at most");
  CHECK(read_file("a thing", folder.file(""), 1024).error().ends_with("it is no regular file"));
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK(read_file("a thing", folder.file("pipe"), 1024).error().ends_with("it is no regular file"));
  CHECK(read_file("a thing", folder.file("none"), 1024).error().ends_with("No such file or directory"));
}
