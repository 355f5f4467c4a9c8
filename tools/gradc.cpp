// The command line: options, exit codes, and where mistakes are shown.
#include <fcntl.h>
#include <unistd.h>

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <limits>
#include <system_error>

#include "codegen/codegen.h"
#include "passes/pipeline.h"
#include "runtime/error.h"
#include "support/check.h"
#include "tools/command_table.h"
#include "tools/commands.h"
#include "tools/start_point.h"

namespace gradc {
namespace {

bool color() {
  const char *no = std::getenv("NO_COLOR"), *term = std::getenv("TERM");
  if (no != nullptr && *no != 0) return false;
  return isatty(2) != 0 && (term == nullptr || std::string_view(term) != "dumb");
}

std::vector<std::string> pass_names(bool switchable) {
  std::vector<std::string> names;
  for (const passes::PassInfo& p : passes::all_passes())
    if (!switchable || p.switchable) names.emplace_back(p.name);
  return names;
}
void without_option(CLI::App* app, Arguments& a) {
  app->add_option("--without", a.without,
                  "exact passes to switch off: " + fmt::format("{}", fmt::join(pass_names(true), ", ")))
      ->check(CLI::IsMember(pass_names(true)));
}

void machine_options(CLI::App* app, Arguments& a) {
  app->add_option("--cpu", a.cpu, "native, x86-64-v2, x86-64-v3, x86-64-v4 or any name LLVM knows");
  app->add_option("--lanes", a.lanes, "f32 elements of a vector: 4, 8 or 16; 0 is the cpu's own");
  without_option(app, a);
  app->add_option("--threads", a.threads,
                  "exactly so many threads, 1 to 1024; if absent or more than cores, as many as pay")
      ->check(CLI::Range(1, 1024));
}

void model_options(CLI::App* app, Arguments& a) {
  app->add_option("file", a.file, "a model file (.grad)")->required()->type_name("FILE");
  app->add_option("-D", a.defines, "override a constant: -D hidden=128");
  app->add_option("--set", a.sets, "override a field of the train block: --set train.lr=1e-3");
  app->add_option("--float", a.float_type, "element type of float: f32 or f64")
      ->check(CLI::IsMember({"f32", "f64"}))
      ->capture_default_str();
  app->add_flag("--no-fma", a.no_fma, "round every multiplication; slower, the same bits on every processor");
  app->add_option("--data", a.data, "root of data files; else GRADC_DATA, else ../shared/data")
      ->type_name("FOLDER");
  app->add_option("--batch", a.batch, "rows of a batch, instead of what the file says")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  app->add_option("--memory", a.memory,
                  "what weights, batch and temporaries may take: 800M, 2G; the forward pass is in part run "
                  "twice to fit")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50))
      ->type_name("SIZE");
  machine_options(app, a);
}

// "" is what a variable without a value leaves behind: --save "$FILE" would quietly save nothing.
void refuse_empty(CLI::App& app) {
  const CLI::Validator not_empty(
      [](std::string& value) { return value.empty() ? std::string("the value is empty") : std::string(); },
      "");
  for (CLI::Option* o : app.get_options())
    if (o->get_items_expected_max() > 0) o->check(not_empty);
}

void weights_options(CLI::App* app, Arguments& a) {
  CLI::Option* load =
      app->add_option("--load", a.load,
                      "weights (.safetensors), or a run's folder; the latest run's best if absent")
          ->type_name("FILE");
  app->add_option("--run", a.run_dir, "the run whose best weights to take, as train names them")
      ->excludes(load);
}

void start_options(CLI::App* train, Arguments& a) {
  CLI::Option* resume = train->add_option(
      "--resume", a.resume,
      "go on with a run where it was, to the same bits: --resume (the latest), --resume=RUN, "
      "--resume=FILE (a checkpoint, in a new folder)");
  CLI::Option* init = train
                          ->add_option("--init-from", a.init_from,
                                       "begin with the weights of this file (.safetensors) or run's folder")
                          ->excludes(resume)
                          ->type_name("FILE");
  CLI::Option* scratch = train
                             ->add_flag("--from-scratch", a.from_scratch,
                                        "begin with first values, whatever weights the file's init names")
                             ->excludes(resume)
                             ->excludes(init);
  train
      ->add_option(
          "--map", a.map,
          "for --init-from, or the file's init: a file of lines OURS = THEIRS or OURS = transpose(THEIRS)")
      ->excludes(resume)
      ->excludes(scratch)
      ->type_name("FILE");
  train
      ->add_flag("--allow-partial", a.allow_partial,
                 "with --init-from, or the file's init: take what fits, say what does not")
      ->excludes(resume)
      ->excludes(scratch);
  train->add_option("--max-steps", a.max_steps, "stop after so many steps; --resume goes on")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62));
  train->add_option("--max-time", a.max_time, "stop after so long: 90, 30s, 5m, 1h30m; --resume goes on")
      ->check(CLI::Validator(
          [](std::string& v) {
            return seconds_of(v) ? std::string() : "'" + v + "' is no duration: 90, 30s, 5m, 1h30m";
          },
          ""));
  train->add_option("--limit-train", a.limit_train, "train on the first rows alone, so many")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62));
  train
      ->add_option("--overfit", a.overfit,
                   "see whether the model can learn so many rows by heart: all splits are these, repeated")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62));
  train->add_option("--log-format", a.log_format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  train->add_flag("--dry-run", a.dry_run, "one step, one batch of each split, nothing written")
      ->excludes(resume);
  train->add_flag("--detect-anomaly", a.detect_anomaly,
                  "when the loss or a weight becomes NaN or infinite: name the operation that made it so");
  train
      ->add_option("--bad-step", a.bad_step,
                   "do not train: name that operation of a step that a training kept (bad-step.safetensors)")
      ->excludes(resume)
      ->type_name("FILE");
}

void predict_options(CLI::App* predict, Arguments& a) {
  model_options(predict, a);
  weights_options(predict, a);
  predict
      ->add_option(
          "--input", a.inputs,
          "a file like those that the model was trained on, labels not needed, or a folder of pictures; "
          "INPUT=FILE where each input has its own; - is standard input; again for each further file")
      ->allow_extra_args(false)
      ->type_name("FILE");
  predict->add_option("files", a.files, "files as by --input, any number");
  predict->add_option("--results", a.results, "which results to write, in this order; all if absent")
      ->allow_extra_args(false)
      ->type_name("NAME");
  predict
      ->add_option(
          "--format", a.format,
          "csv; jsonl: one object a row; npy: one result, class numbers as numbers; png: one result, "
          "its rows as tiles of a picture")
      ->check(CLI::IsMember({"csv", "jsonl", "npy", "png"}))
      ->capture_default_str();
  predict->add_option("--rows", a.rows, "take the first so many rows; all if absent")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62));
  predict->add_option("-o,--output", a.output, "where to write; standard output if absent")
      ->type_name("FILE");
}

void generate_options(CLI::App* generate, Arguments& a) {
  model_options(generate, a);
  generate->add_option("prompt", a.prompt, "the text to go on with")->required();
  weights_options(generate, a);
  generate->add_option("--tokens", a.tokens, "how many characters or bytes")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62))
      ->capture_default_str();
  CLI::Option* temperature = generate->add_option(
      "--temperature", a.temperature, "draw by the likelihoods, sharper below 1; the likeliest if absent");
  temperature->check(CLI::Range(1e-6, 1e6));
  generate->add_option("--top-k", a.top_k, "draw from so many of the likeliest; from all if absent")
      ->needs(temperature)
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  generate
      ->add_option(
          "--top-p", a.top_p,
          "draw from the fewest of the likeliest whose likelihoods sum to so much; from all if absent")
      ->needs(temperature)
      ->check(CLI::Range(1e-6, 1.0));
  generate->add_option("--stop", a.stops, "end in front of this text; again for each further one")
      ->allow_extra_args(false)
      ->type_name("TEXT")
      ->check(CLI::Validator(
          [](const std::string& s) { return std::string(s.empty() ? "an empty text" : ""); }, ""));
  generate->add_option("--seed", a.seed, "of the draws")
      ->needs(temperature)
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()))
      ->capture_default_str();
  generate->add_option("--results", a.results, "the result that has the logits, if there are several")
      ->allow_extra_args(false)
      ->type_name("NAME");
}

// A value follows --resume after = alone, so that a file's name can stand behind it.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words[0] == "train")
    for (std::string& w : words)
      if (w == "--resume") w = "--resume=latest";
  std::reverse(words.begin(), words.end());  // as the parser wants them
  return words;
}

struct Command {
  CLI::App* app;
  std::string name;
};

std::vector<Command> commands(CLI::App& app, Arguments& a) {
  std::vector<Command> all;
  auto add = [&](const char* name, const char* what) {
    all.push_back({app.add_subcommand(name, what), name});
    return all.back().app;
  };
  CLI::App* train = add("train", "train a model and save its weights in a new folder below runs/");
  model_options(train, a);
  train->add_option("--save", a.save, "also write the chosen weights to this file")->type_name("FILE");
  train->add_option("--run", a.run_dir,
                    "name of the run, below runs/MODEL, or a path with a slash; the next number if absent");
  train->add_flag("--overwrite", a.overwrite, "write into a run that is there already");
  train->add_flag("-q,--quiet", a.quiet, "print only the last line");
  start_options(train, a);
  CLI::App* eval = add("eval", "loss and metrics on a split");
  model_options(eval, a);
  eval->add_option("--split", a.split, "which split")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  weights_options(eval, a);
  predict_options(add("predict", "results for the rows of files"), a);
  generate_options(add("generate", "go on with a text, by a model of windows of characters or bytes"), a);
  model_options(add("check", "find every mistake in a model file"), a);
  model_options(add("summary", "layers, shapes, parameters, operations and memory"), a);
  CLI::App* render = add("render", "the model file with every default written out and overrides applied");
  model_options(render, a);
  render->add_option("-o,--output", a.output, "where to write; standard output if absent")->type_name("FILE");
  CLI::App* run = add("run", "call a function of an IR file with tensors of a file");
  run->add_option("file", a.file, "a graph IR file")->required()->type_name("FILE");
  run->add_option("--function", a.function, "which function")->required();
  run->add_option("--inputs", a.input, "its arguments by name (.safetensors)")->required()->type_name("FILE");
  run->add_option("-o,--output", a.output, "its results (.safetensors)")->required()->type_name("FILE");
  run->add_flag("--interpret", a.interpret, "by the graph interpreter instead of compiled code");
  machine_options(run, a);
  CLI::App* compile = add("compile", "show what a model or IR file becomes, or write an object file");
  model_options(compile, a);
  compile->add_option("--function", a.function, "which function")->capture_default_str();
  CLI::Option* emit =
      compile->add_option("--emit", a.emit, "graph, graph-after=PASS, schedule, kernels, step, llvm or asm")
          ->capture_default_str();
  CLI::Option* object =
      compile
          ->add_flag("-c", a.object,
                     "write an object file with all entries of a model, or the function of an IR file")
          ->excludes(emit);
  compile->add_option("--header", a.header, "with -c: also write a C header for the object file")
      ->needs(object)
      ->type_name("FILE");
  compile->add_option("-o,--output", a.output, "where to write; standard output if absent")
      ->type_name("FILE");
  compile
      ->add_option("--prefix", a.prefix,
                   "with -c: what the entries' symbols start with; the model's name and _ if absent")
      ->needs(object);
  CLI::App* bench =
      add("bench", "time the training step of a model, or a function of an IR file, on synthetic data");
  model_options(bench, a);
  bench->add_option("--function", a.function, "of an IR file")->capture_default_str();
  bench->add_option("--rounds", a.rounds, "timed calls")
      ->check(CLI::Range(11, 1000000))
      ->capture_default_str();
  CLI::Option* json = bench->add_flag("--json", a.json, "print one JSON object");
  CLI::Option* kernels =
      bench
          ->add_flag("--kernels", a.kernels, "of a model file: each kernel of the step timed where it stands")
          ->excludes(json);
  CLI::Option* plans =
      bench
          ->add_flag(
              "--plans", a.plans,
              "of a model file: other schedules searched for each kernel of the step, and what is lost")
          ->excludes(json)
          ->excludes(kernels);
  bench->add_option("--seconds", a.seconds, "with --plans: about so long a kernel")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str()
      ->needs(plans);
  bench->add_option("--limit", a.limit, "with --plans: so many kernels, those that take longest; 0 for all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->needs(plans);
  CLI::App* opt = add("opt", "run passes on graph or step text and print the result");
  opt->add_option("file", a.file, "graph IR, or with --from=PASS the text that this pass takes")
      ->required()
      ->type_name("FILE");
  opt->add_option("--from", a.from, "the pass to start with")->check(CLI::IsMember(pass_names(false)));
  opt->add_option("--after", a.after,
                  "the last pass to run; without --from numerics if absent, else the last there is")
      ->check(CLI::IsMember(pass_names(false)));
  opt->add_option("--function", a.function, "which function is fused and lowered")->capture_default_str();
  opt->add_option("--segments", a.segments, "checkpoint: into how many segments the forward pass is cut")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  machine_options(opt, a);
  opt->add_option("-o,--output", a.output, "where to write; standard output if absent")->type_name("FILE");
  CLI::App* make = add("new", "write a model file for a table");
  make->add_option("file", a.file, "a table (.csv)")->required()->type_name("FILE");
  make->add_option("--target", a.target, "the column to learn")->required();
  make->add_option("-o,--output", a.output, "where to write; the table's name with .grad if absent")
      ->type_name("FILE");
  add("runs", "the runs below runs/, side by side")
      ->add_option("name", a.file, "a model's name; all of them if absent");
  CLI::App* data = app.add_subcommand("data", "look at data files");
  data->require_subcommand(1);
  CLI::App* inspect =
      data->add_subcommand("inspect", "columns, types, ranges, missing values and balance of a table");
  inspect->add_option("file", a.file, "a table (.csv)")->required()->type_name("FILE");
  all.push_back({inspect, "inspect"});
  CLI::App* doctor = add("doctor", "what machine this is, how fast it is, and what is in the way of work");
  doctor->add_flag("--quick", a.quick, "measure nothing");
  CLI::App* cache = add("cache", "the cache of compiled code: its place and size");
  cache->add_flag("--clear", a.clear, "remove all entries");
  CLI::App* completion = add("completion", "print a script that completes the words of gradc in a shell");
  completion->add_option("shell", a.shell, "which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  add("man", "print the man page: gradc man | man -l -");
  for (const Command& c : all) refuse_empty(*c.app);
  return all;
}

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 a mistake in the model or data, 2 wrong usage, 3 the loss diverged, 4 weights do "
    "not fit,\n"
    "70 internal error, 129, 130 and 143 after SIGHUP, SIGINT and SIGTERM, with everything saved (not after "
    "a "
    "second SIGINT).";

int dispatch(const CLI::App& app, const Arguments& a, const std::string& command, Sources& sources) {
  if (command == "inspect") return inspect_table(a);
  if (command == "new") return make_model(a);
  if (command == "doctor") return run_doctor(a);
  if (command == "cache") return run_cache(a);
  if (command == "completion") return write_text("", completion_script(command_table(app), a.shell)), kOk;
  if (command == "man") return write_text("", man_page(command_table(app), kVersion, kFooter)), kOk;
  if (command == "runs") return list_runs(a);
  const bool ir = a.file.size() > 3 && a.file.substr(a.file.size() - 3) == ".ir";
  if (command == "opt" || command == "run" || (ir && (command == "compile" || command == "bench")))
    return run_on_ir(a, command, sources), kOk;
  return run_on_model(a, command, sources);
}

// The input of a pass that failed, kept in a file of its own, and how to run it again.
std::string reproducer(const passes::PassFailure& e, const Arguments& a) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = std::string(folder && *folder ? folder : "/tmp") + "/gradc-" + e.pass + "-XXXXXX";
  const int fd = mkstemp(path.data());
  if (fd < 0) return "";
  size_t done = 0;
  while (done < e.input.size()) {
    const ssize_t n = write(fd, e.input.data() + done, e.input.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  if (close(fd) != 0 || done != e.input.size()) return "";
  std::string options = fmt::format("--from={} --after={}", e.pass, e.pass);
  if (!e.function.empty()) options += " --function=" + e.function;
  const Arguments plain;
  if (a.cpu != plain.cpu) options += " --cpu=" + a.cpu;
  if (a.lanes != plain.lanes) options += fmt::format(" --lanes={}", a.lanes);
  for (const std::string& pass : a.without) options += " --without=" + pass;
  if (e.segments > 1) options += fmt::format(" --segments={}", e.segments);
  return fmt::format("its input is kept: gradc opt {} {}\n", options, path);
}

// A standard stream that the caller closed would be the number of the next file opened, and messages would
// end up in it. In its place stands what refuses to be read or written as a closed one does; where messages
// would go they get lost.
void fill_closed_streams() {
  for (const auto& [fd, mode] : {std::pair{0, O_WRONLY}, {1, O_RDONLY}, {2, O_WRONLY}})
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", mode);  // takes the lowest number that is free
}

// What was printed and did not arrive, on a full disk say, is no success.
int flushed(int code) {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return code;
  std::cerr << "error: cannot write to standard output"
            << (errno != 0 ? std::string(": ") + std::strerror(errno) : "") << "\n";
  return code == kOk ? kError : code;
}

int run(int argc, char** argv) {
  CLI::App app{"gradc: a symbolic graph compiler that turns a model file into a native trainer"};
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("gradc {} (", kVersion) + codegen::version() + ")");
  app.require_subcommand(1);
  Arguments a;
  a.command.assign(argv, argv + argc);
  const std::vector<Command> all = commands(app, a);
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e), kOk;
    std::cerr << "error: " << printable(e.what()) << "\nRun with --help for more information.\n";
    return kUsage;
  }
  std::string command;
  for (const Command& c : all)
    if (c.app->parsed()) command = c.name;
  Sources sources;
  try {
    return dispatch(app, a, command, sources);
  } catch (const CompileError& e) {
    if (!e.reported) std::cerr << render(e.diagnostic, sources, color());
    return kError;
  } catch (const runtime::Error& e) {
    std::cerr << "error: " << printable(e.what()) << "\n";
    using runtime::Failure;
    return e.kind == Failure::Diverged   ? kDiverged
           : e.kind == Failure::Mismatch ? kMismatch
           : e.kind == Failure::Usage    ? kUsage
                                         : kError;
  } catch (const passes::PassFailure& e) {
    std::cerr << "gradc: internal error: " << printable(e.what()) << "\n" << reproducer(e, a);
    return kInternal;
  } catch (const InternalError& e) {
    std::cerr << "gradc: internal error: " << printable(e.what()) << "\n";
    return kInternal;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory\n";
    return kError;
  } catch (const std::system_error& e) {  // of the machine: a full disk, no more threads
    std::cerr << "error: " << printable(e.what()) << "\n";
    return kError;
  } catch (const std::exception& e) {
    std::cerr << "gradc: internal error: " << printable(e.what()) << "\n";
    return kInternal;
  }
}

}  // namespace
}  // namespace gradc

int main(int argc, char** argv) {
  gradc::fill_closed_streams();
  return gradc::flushed(gradc::run(argc, argv));
}
