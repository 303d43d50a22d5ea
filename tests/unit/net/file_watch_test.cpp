#include "net/file_watch.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tls_support.h"

using namespace penstock::net;

namespace {

struct Watched {
  LoopRunner runner;
  std::vector<std::string> changed;
  FileWatch watch{runner.loop, 10, [this](const std::vector<std::string>& paths) {
                    changed.insert(changed.end(), paths.begin(), paths.end());
                  }};
  void look_at(std::vector<std::string> paths) {
    std::vector<WatchedFile> files;
    for (std::string& path : paths) files.push_back({path, FileStamp::of(path)});
    watch.watch(std::move(files));
  }
  void until_changed() {
    runner.until([&] { return !changed.empty(); });
  }
};

}  // namespace

TEST_CASE("a file that is written, removed or made is told once, by its name") {
  TempFolder folder;
  Watched w;
  const std::string one = folder.write("one", "1"), two = folder.write("two", "2");
  w.look_at({one, two});
  folder.write("two", "22");
  w.until_changed();
  CHECK(w.changed == std::vector<std::string>{two});
  w.changed.clear();
  std::filesystem::remove(one);
  w.until_changed();
  CHECK(w.changed == std::vector<std::string>{one});
  w.changed.clear();
  folder.write("one", "1");
  w.until_changed();
  CHECK(w.changed == std::vector<std::string>{one});
}

TEST_CASE("a file behind an exchanged link of a folder is seen as changed") {
  TempFolder folder;
  std::filesystem::create_directory(folder.file("v1"));
  std::filesystem::create_directory(folder.file("v2"));
  folder.write("v1/tls.crt", "same size");
  folder.write("v2/tls.crt", "size same");
  std::filesystem::create_directory_symlink("v1", folder.file("data"));
  std::filesystem::create_symlink("data/tls.crt", folder.file("tls.crt"));
  Watched w;
  w.look_at({folder.file("tls.crt")});
  std::filesystem::create_directory_symlink("v2", folder.file("next"));
  std::filesystem::rename(folder.file("next"), folder.file("data"));
  w.until_changed();
  CHECK(w.changed == std::vector<std::string>{folder.file("tls.crt")});
}

TEST_CASE("a change between reading a file and watching it is not lost") {
  TempFolder folder;
  const std::string path = folder.write("one", "1");
  const FileStamp before = FileStamp::of(path);
  folder.write("one", "22");
  Watched w;
  w.watch.watch({{path, before}});
  w.until_changed();
  CHECK(w.changed == std::vector<std::string>{path});
}

TEST_CASE("a watch may end while it looks, and inside its callback") {
  TempFolder folder;
  const std::string path = folder.write("one", "1");
  LoopRunner runner;
  std::unique_ptr<FileWatch> watch;
  int calls = 0;
  watch = std::make_unique<FileWatch>(runner.loop, 10, [&](const std::vector<std::string>&) {
    ++calls;
    watch.reset();
  });
  watch->watch({{path, FileStamp{}}});
  runner.until([&] { return calls == 1; });
  watch = std::make_unique<FileWatch>(runner.loop, 0, [&](const std::vector<std::string>&) { ++calls; });
  watch->watch({{path, FileStamp{}}});
  runner.turns(1);
  const int told = calls;  // a slow machine may be done with two looks by now
  watch.reset();
  runner.turns(3);
  CHECK(calls == told);
}
