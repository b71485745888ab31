"""The frozen settings: what the command line can say (`ServeConfig`), and each process' part of it.

Defaults, bounds and help texts are written here once; `zerolane/cli.py` derives its options from `ServeConfig`. The
processes' own configs travel in the first message on their control link and never change.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Device = Literal["auto", "cpu", "cuda", "fake-cuda"]
DType = Literal["auto", "float32", "bfloat16", "float16"]
AttentionChoice = Literal["auto", "reference", "paged"]
Quantization = Literal["none", "int8", "int4"]
CompactWeights = Literal["auto", "on", "off"]
ContentFormat = Literal["auto", "string", "openai"]
PromptOrder = Literal["short", "arrival"]
GenerationConfig = Literal["auto", "vllm"]  # whose sampling defaults: the model's or the API's
LogFormat = Literal["human", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class ModelSpec(Struct, frozen=True):
    """One model as the operator named it: NAME=SOURCE, or SOURCE alone."""

    name: str
    source: str  # local path, hub id, "fake:generate" or "fake:score"


class LoaderConfig(Struct, frozen=True, kw_only=True):
    """The loader's part."""

    models: list[ModelSpec]
    device: Device = "cpu"
    dtype: DType = "auto"
    task: Literal["auto", "generate", "score", "embed"] = "auto"
    max_model_len: int = 0  # 0: the model's own
    attention_backend: AttentionChoice = "auto"
    quantization: Quantization = "none"
    compact_weights: CompactWeights = "auto"
    batch_invariant: bool = False
    trust_remote_code: bool = False
    generation_config: GenerationConfig = "auto"
    allow_pickle_weights: bool = False
    revision: str = ""
    threads: int = 0  # 0: all cores
    block_size: int = 16
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"


class ForkServerConfig(Struct, frozen=True, kw_only=True):
    """The fork server's part: what it imports, and how it opens the models its workers are born with."""

    has_real_models: bool
    max_num_seqs: int  # running slots of each model: size of a worker's table of last tokens
    batch_invariant: bool = False
    fake_step_s: float = 0.0  # the fake model takes this long a step
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"


class KeeperConfig(Struct, frozen=True, kw_only=True):
    """A keeper's part: it owns the memory of one GPU."""

    pool: int
    epoch: int  # the generation of what it exports
    device: Literal["cuda", "fake-cuda"]
    device_index: int  # among the GPUs this server sees
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"


BatchHeights = dict[int, tuple[int, ...]]
"""For each model by card index: numbers of rows a step may have so that every row's numbers have the same bits."""


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """A worker's part."""

    worker_id: int
    epoch: int
    metrics_slot: int
    threads: int  # torch threads, at least 1
    batch_heights: BatchHeights = {}  # known from an earlier worker with as many threads; else found out
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"


class SchedulerConfig(Struct, frozen=True, kw_only=True):
    """The scheduler's part."""

    epoch: int
    address: str  # ZeroMQ address its ROUTER binds
    metrics_slot: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_waiting_tokens: int
    enable_prefix_caching: bool
    fair_shares: bool = True
    prompt_order: PromptOrder = "short"
    target_step_time: float = 0.0  # seconds; 0: max_num_batched_tokens alone bounds a step
    prompt_steps: int = 0  # in a row that leave out streams that decode
    steps_in_flight: int = 2
    step_timeout: float = 3.0  # seconds a step may take at least before its worker counts as hanging
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"


class FrontendConfig(Struct, frozen=True, kw_only=True):
    """A frontend's part."""

    frontend_id: int
    epoch: int
    metrics_slot: int
    scheduler_address: str
    runtime_dir: str
    max_body_bytes: int
    max_waiting_tokens: int = 1_000_000
    max_logprobs: int = 20
    shutdown_timeout_s: float
    chat_template: str = ""  # replaces the models' own: path of a Jinja file, a template, or the name of one of theirs
    chat_template_content_format: ContentFormat = "auto"
    trust_request_chat_template: bool = False
    exclude_tools_when_tool_choice_none: bool = True
    tool_call_parser: str = "auto"
    tool_parser_plugin: str = ""
    reasoning_parser: str = "auto"
    score_format: Literal["list", "float"] = "list"
    log_format: LogFormat = "human"
    log_level: LogLevel = "info"
    version: str = "unknown"  # of the server, for /version
    admin_key: str = ""  # who may use /admin; empty: nobody
    responses_store: str = ""  # path of the SQLite file; empty: in runtime_dir, gone with the server
    responses_max_count: int = 10_000  # 0: nothing is stored
    responses_max_age: float = 30 * 86_400.0  # seconds
    responses_max_bytes: int = 256 << 20
    api_key_digests: tuple[str, ...] = ()  # SHA-256 of the keys of the inference routes, hexadecimal; none: open
    sse_keep_alive_interval: float = 15.0  # seconds; 0: never
    allowed_origins: tuple[str, ...] = ()  # what browsers' pages may do: see cors.py
    allowed_methods: tuple[str, ...] = ()
    allowed_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    ssl_certfile: str = ""  # empty: plain HTTP
    ssl_keyfile: str = ""
    ssl_ca_certs: str = ""
    disable_docs: bool = False


class ServeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything `zerolane serve` can be told. Field names are the flags (with dashes)."""

    host: Annotated[str, Meta(description="address to listen on; 0.0.0.0 lets other machines in")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one and prints it")] = 8000
    frontends: Annotated[
        int,
        Meta(ge=1, le=64, description="HTTP processes on the one port; more when parsing or streaming fills a core"),
    ] = 1
    workers: Annotated[
        int, Meta(ge=1, le=64, description="compute processes; they share one copy of the weights, and the cores")
    ] = 1
    spares: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="workers that wait, warm, to take over from one that dies; each costs memory, no cores",
        ),
    ] = 0
    pools: Annotated[
        int,
        Meta(ge=1, le=16, description="separate KV memories on this host; workers and requests are spread over them"),
    ] = 1
    prefill_workers: Annotated[
        int,
        Meta(
            ge=0, le=64, description="with --decode-workers: these compute prompts only, instead of --workers for both"
        ),
    ] = 0
    decode_workers: Annotated[
        int, Meta(ge=0, le=64, description="with --prefill-workers: these compute output tokens only")
    ] = 0
    device: Annotated[
        Device,
        Meta(
            description="where models compute; auto takes the CPU as long as cuda is new and was never tried on a GPU; "
            "fake-cuda keeps a GPU's rules in host memory, for tests"
        ),
    ] = "auto"
    dtype: Annotated[
        DType, Meta(description="computing type; auto takes the checkpoint's where this machine is fast at it")
    ] = "auto"
    task: Annotated[
        Literal["auto", "generate", "score", "embed"],
        Meta(description="what the models are for; auto reads the architecture"),
    ] = "auto"
    max_model_len: Annotated[
        int, Meta(ge=0, description="longest prompt plus output in tokens; 0 takes the model's; less saves KV memory")
    ] = 0
    max_num_seqs: Annotated[
        int, Meta(ge=1, le=4096, description="streams that run at once per model; more raise throughput and latency")
    ] = 256
    max_num_batched_tokens: Annotated[
        int,
        Meta(
            ge=16,
            le=1 << 20,
            description="tokens of one step; less keeps decoding smooth, more makes prefill faster. Steps of scores "
            "and embeddings take up to four times as many within target-step-time while no stream runs",
        ),
    ] = 512
    target_step_time: Annotated[
        float,
        Meta(
            ge=0,
            description="seconds a step should take while prompts are computed: they are cut into chunks of what this "
            "machine does in it, 128 tokens at least; less keeps decoding smooth and first tokens early, more saves a "
            "little overhead; 0: always max-num-batched-tokens",
        ),
    ] = 0.5
    prompt_steps: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="steps in a row that prompts may have to themselves while streams wait for their next tokens: "
            "more brings first tokens forward under load, less keeps streams even; 0: every step brings each its token",
        ),
    ] = 3
    max_waiting_tokens: Annotated[
        int, Meta(ge=1, description="tokens that may wait per model before new requests get 429 with Retry-After")
    ] = 1_000_000
    fair_shares: Annotated[
        bool,
        Meta(
            description="tenants (the field 'user', else the API key) take turns, so that nobody waits for another's "
            "many requests; off: all count as one tenant"
        ),
    ] = True
    prompt_order: Annotated[
        PromptOrder,
        Meta(
            description="short: of a tenant's prompts those with fewer tokens to compute go first, so that most first "
            "tokens come early; a long one lets pass what comes while four times its own tokens are computed. arrival: "
            "first come, first served, also behind long ones"
        ),
    ] = "short"
    block_size: Annotated[int, Meta(ge=1, le=256, description="tokens in one KV page")] = 16
    kv_cache_memory: Annotated[
        str, Meta(description="memory of all KV pages together, e.g. 512MiB or 2GiB; taken at start")
    ] = "2GiB"
    enable_prefix_caching: Annotated[
        bool, Meta(description="reuse KV pages of equal prompt beginnings; off only to compare")
    ] = True
    attention_backend: Annotated[
        AttentionChoice, Meta(description="auto takes the fastest that supports the model and logs why")
    ] = "auto"
    quantization: Annotated[
        Quantization,
        Meta(
            description="keep weights of linear layers in fewer bits: int8 halves the memory read for a token and is "
            "faster at every load; int4 quarters it, fastest for one stream; both change answers a little, int4 more"
        ),
    ] = "none"
    compact_weights: Annotated[
        CompactWeights,
        Meta(
            description="on CPUs keep a second copy of decoders' bfloat16 weights in 12 bits each, the same numbers: "
            "few streams read a quarter less memory for a token, for three quarters more memory taken; auto: where "
            "that is at most an eighth of what the models leave free"
        ),
    ] = "auto"
    batch_invariant: Annotated[
        bool, Meta(description="the same bits whatever else is computed in the same step: repeatable answers, slower")
    ] = False
    threads: Annotated[int, Meta(ge=0, description="torch threads of each worker; 0 divides the cores")] = 0
    served_model_name: Annotated[
        str, Meta(description="name clients use for the (only) model; several models: write NAME=MODEL")
    ] = ""
    generation_config: Annotated[
        GenerationConfig,
        Meta(
            description="auto samples as the model's generation_config.json says where a request says nothing; vllm "
            "takes the API's defaults, the same for every model"
        ),
    ] = "auto"
    max_logprobs: Annotated[
        int,
        Meta(ge=0, le=100, description="likeliest tokens a request may ask for at each place; more make replies large"),
    ] = 20
    chat_template: Annotated[
        str,
        Meta(
            description="replaces the models' own chat template: a Jinja file, a template in one line, or the name of "
            "one of the model's own, such as tool_use"
        ),
    ] = ""
    chat_template_content_format: Annotated[
        ContentFormat,
        Meta(
            description="how the template takes the content of messages: string, one text, or openai, a list of parts; "
            "auto reads it from the template"
        ),
    ] = "auto"
    trust_request_chat_template: Annotated[
        bool,
        Meta(
            description="take chat_template in requests; it is rendered apart, with limits of time and memory, but "
            "still lets clients write any prompt and costs a process a frontend"
        ),
    ] = False
    exclude_tools_when_tool_choice_none: Annotated[
        bool,
        Meta(
            description="leave tools out of the prompt when a request says tool_choice none; off: the prompt's "
            "beginning stays cached, but the model may write calls, which are then plain text"
        ),
    ] = True
    tool_call_parser: Annotated[
        str,
        Meta(
            description="form in which the models write tool calls: auto reads it from the template, none looks for no "
            "calls, else a name: deepseek, glm, granite, harmony, hermes, llama3_json, mistral, pythonic, qwen3_coder"
        ),
    ] = "auto"
    tool_parser_plugin: Annotated[
        str,
        Meta(
            description="Python file with parsers of your own, which the two options on parsers can name then; it is "
            "run in every frontend: only a file you trust"
        ),
    ] = ""
    reasoning_parser: Annotated[
        str,
        Meta(
            description="form of the models' thinking: auto reads it from the template, none takes it for content, "
            "else a name: deepseek_r1, granite, harmony, mistral, seed_oss, think"
        ),
    ] = "auto"
    score_format: Annotated[
        Literal["list", "float"], Meta(description="/v1/score answers score as [x] (specification) or x (today's vLLM)")
    ] = "list"
    trust_remote_code: Annotated[
        bool, Meta(description="run Python code that comes with a model: only for models you trust")
    ] = False
    allow_pickle_weights: Annotated[
        bool, Meta(description="load weights from pickle files, which can run code; default safetensors only")
    ] = False
    revision: Annotated[str, Meta(description="branch, tag or commit of hub models")] = ""
    max_body_bytes: Annotated[int, Meta(ge=1024, description="largest request body; above it 413")] = 32 << 20
    api_key: Annotated[
        tuple[str, ...],
        Meta(
            description="key that clients must send to the inference routes, several: commas, or say it again; better "
            "set as ZEROLANE_API_KEY (or VLLM_API_KEY) in the environment, where ps does not show it",
        ),
    ] = ()
    api_key_file: Annotated[
        str,
        Meta(description="file with more such keys, one a line; empty lines and those that begin with # are skipped"),
    ] = ""
    admin_key: Annotated[
        str,
        Meta(
            description="key for /admin/workers, sent as 'Authorization: Bearer KEY'; better set as "
            "ZEROLANE_ADMIN_KEY in the environment, where ps does not show it; empty: /admin is closed",
        ),
    ] = ""
    sse_keep_alive_interval: Annotated[
        float,
        Meta(
            ge=0,
            description="a stream that has nothing to send for so many seconds sends a comment, so that proxies do not "
            "cut it; 0 never does, and keeps the true HTTP status of requests that fail late",
        ),
    ] = 15.0
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="origins whose pages may use this server from a browser; * is all, an empty text none"),
    ] = ("*",)
    allowed_methods: Annotated[tuple[str, ...], Meta(description="methods such pages may use; * is all of a path")] = (
        "*",
    )
    allowed_headers: Annotated[tuple[str, ...], Meta(description="headers such pages may send; * is all")] = ("*",)
    allow_credentials: Annotated[
        bool, Meta(description="let browsers send cookies and such; only with origins you named one by one")
    ] = False
    ssl_certfile: Annotated[str, Meta(description="certificate (chain) in PEM form: HTTPS instead of HTTP")] = ""
    ssl_keyfile: Annotated[
        str, Meta(description="its private key, without a password; default: in the certificate's file")
    ] = ""
    ssl_ca_certs: Annotated[
        str, Meta(description="certificates of authorities: only clients with a certificate of theirs may connect")
    ] = ""
    disable_docs: Annotated[bool, Meta(description="serve no /openapi.json and no /docs")] = False
    step_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="seconds a step may take at least before its worker counts as hanging and is replaced; "
            "ten times the measured time where that is longer",
        ),
    ] = 3.0
    responses_store: Annotated[
        str,
        Meta(
            description="SQLite file in which answers of /v1/responses are kept for later requests, across restarts; "
            "default: one in the runtime directory, gone with the server"
        ),
    ] = ""
    responses_max_count: Annotated[
        int,
        Meta(
            ge=0, description="stored responses; the oldest go first; 0 stores nothing, as if 'store' were always false"
        ),
    ] = 10_000
    responses_max_age: Annotated[
        float, Meta(gt=0, description="seconds for which a response stays in the store at most")
    ] = 30 * 86_400.0
    responses_max_bytes: Annotated[
        int, Meta(ge=1 << 20, description="bytes of all stored responses together; the oldest go first")
    ] = 256 << 20
    startup_timeout: Annotated[float, Meta(gt=0, description="seconds until every model must answer")] = 600.0
    shutdown_timeout: Annotated[
        float, Meta(ge=0, description="seconds open requests may take after SIGTERM before they are ended")
    ] = 30.0
    runtime_dir: Annotated[
        str,
        Meta(description="folder for sockets (made 0700); default $XDG_RUNTIME_DIR/zerolane or one below the temp dir"),
    ] = ""
    fake_step_ms: Annotated[float, Meta(ge=0, description="milliseconds a step of the built-in fake model takes")] = 0.0
    log_format: Annotated[LogFormat, Meta(description="log lines on stderr for people or for machines")] = "human"
    log_level: Annotated[LogLevel, Meta(description="least important log line shown")] = "info"
