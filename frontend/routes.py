"""The table of all routes. The app is built from it, keys are checked by it, the API's description is made of it."""

from prometheus_client import CONTENT_TYPE_LATEST

from frontend.anthropic.routes import count_tokens, create_message
from frontend.anthropic.schema import CountTokensRequest, MessagesRequest
from frontend.error_style import ErrorStyle
from frontend.generate_shapes import ChatCompletionReply, CompletionReply
from frontend.pooling_shapes import ClassifyReply, CohereEmbedReply, EmbeddingReply, PoolingReply
from frontend.reply_shapes import Health, ModelCardReply, ModelList, Ready, Version
from frontend.responses.routes import (
    cancel_response,
    count_input_tokens,
    create_response,
    delete_response,
    get_response,
    list_input_items,
)
from frontend.responses.schema import ResponsesRequest
from frontend.route import Kind, Route
from frontend.routes_admin import health, metrics, ready, version
from frontend.routes_chat import chat_completions
from frontend.routes_classify import classify
from frontend.routes_cohere_embed import cohere_embed
from frontend.routes_completions import completions
from frontend.routes_embeddings import embeddings
from frontend.routes_models import list_models, one_model
from frontend.routes_pooling import pooling
from frontend.routes_rerank import rerank
from frontend.routes_score import score
from frontend.routes_tokenize import detokenize, tokenize
from frontend.routes_workers import scale_workers, show_workers
from frontend.schema_chat import ChatRequest
from frontend.schema_completions import CompletionRequest
from frontend.schema_embeddings import ClassifyRequest, CohereEmbedRequest, EmbeddingRequest, PoolingRequest
from frontend.schema_rerank import RerankRequest
from frontend.schema_score import ScoreRequest
from frontend.schema_tokenize import DetokenizeRequest, TokenizeRequest
from frontend.schema_workers import ScaleRequest
from frontend.score_shapes import DetokenizeReply, RerankReply, ScoreReply, TeiRank, TeiToken, TokenizeReply

_GENERATE: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/completions",
        handler=completions,
        kind=Kind.INFERENCE,
        summary="Continue one or several prompts.",
        body=CompletionRequest,
        reply=CompletionReply,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/chat/completions",
        handler=chat_completions,
        kind=Kind.INFERENCE,
        summary="Answer a conversation.",
        body=ChatRequest,
        reply=ChatCompletionReply,
        streams=True,
    ),
)

_POOLING: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/score",
        also=("/score",),
        handler=score,
        kind=Kind.INFERENCE,
        summary="Score pairs of texts.",
        body=ScoreRequest,
        reply=ScoreReply,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/rerank",
        also=("/v2/rerank",),
        handler=rerank,
        kind=Kind.INFERENCE,
        summary="Put documents in the order of their relevance to a query: Jina's, vLLM's and Cohere's forms.",
        body=RerankRequest,
        reply=RerankReply,
    ),
    Route(
        method="POST",
        path="/rerank",
        handler=rerank,
        kind=Kind.INFERENCE,
        summary="The same; with 'texts' in text-embeddings-inference's form.",
        body=RerankRequest,
        reply=RerankReply | list[TeiRank],
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        also=("/embeddings",),
        handler=embeddings,
        kind=Kind.INFERENCE,
        summary="Make vectors of texts.",
        body=EmbeddingRequest,
        reply=EmbeddingReply,
    ),
    Route(
        method="POST",
        path="/v2/embed",
        also=("/v1/embed",),
        handler=cohere_embed,
        kind=Kind.INFERENCE,
        summary="Make vectors of texts, in Cohere's form.",
        body=CohereEmbedRequest,
        reply=CohereEmbedReply,
    ),
    Route(
        method="POST",
        path="/pooling",
        also=("/v1/pooling",),
        handler=pooling,
        kind=Kind.INFERENCE,
        summary="What a model makes of texts: vectors, or probabilities of labels.",
        body=PoolingRequest,
        reply=PoolingReply,
    ),
    Route(
        method="POST",
        path="/classify",
        also=("/v1/classify",),
        handler=classify,
        kind=Kind.INFERENCE,
        summary="The labels of texts.",
        body=ClassifyRequest,
        reply=ClassifyReply,
    ),
)

_TOKENS: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/tokenize",
        also=("/v1/tokenize",),
        handler=tokenize,
        kind=Kind.INFERENCE,
        summary="The tokens of a text or a conversation; with 'inputs' in text-embeddings-inference's form.",
        body=TokenizeRequest,
        reply=TokenizeReply | list[list[TeiToken]],
    ),
    Route(
        method="POST",
        path="/detokenize",
        also=("/v1/detokenize",),
        handler=detokenize,
        kind=Kind.INFERENCE,
        summary="The text of some tokens.",
        body=DetokenizeRequest,
        reply=DetokenizeReply,
    ),
)

_MODELS: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/models",
        handler=list_models,
        kind=Kind.INFORMATION,
        summary="The served models.",
        reply=ModelList,
    ),
    Route(
        method="GET",
        path="/v1/models/{model_id:path}",
        handler=one_model,
        kind=Kind.INFORMATION,
        summary="One served model.",
        reply=ModelCardReply,
        extra_statuses=(404,),
    ),
)

_OPERATORS: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/health",
        handler=health,
        kind=Kind.OPEN,
        summary="This process is alive and its loop runs.",
        reply=Health,
    ),
    Route(
        method="GET",
        path="/ready",
        handler=ready,
        kind=Kind.OPEN,
        summary="200 when every model answers, else 503 with the reason.",
        reply=Ready,
        extra_statuses=(503,),
    ),
    Route(
        method="GET",
        path="/version",
        handler=version,
        kind=Kind.OPEN,
        summary="The server's version.",
        reply=Version,
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics,
        kind=Kind.OPEN,
        summary="Prometheus' text; every frontend answers the same.",
        reply=str,
        media_type=CONTENT_TYPE_LATEST,
    ),
    Route(
        method="GET",
        path="/admin/workers",
        handler=show_workers,
        kind=Kind.ADMIN,
        summary="What runs.",
        extra_statuses=(409,),
    ),
    Route(
        method="POST",
        path="/admin/workers",
        handler=scale_workers,
        kind=Kind.ADMIN,
        summary="Change how many workers there are; answers when exactly so many serve.",
        body=ScaleRequest,
        extra_statuses=(409, 503),
    ),
)

_RESPONSES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/responses",
        handler=create_response,
        kind=Kind.INFERENCE,
        summary="Answer a conversation, in the form of OpenAI's Responses API.",
        body=ResponsesRequest,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/responses/input_tokens",
        handler=count_input_tokens,
        kind=Kind.INFERENCE,
        summary="Length of the prompt of such a request.",
        body=ResponsesRequest,
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}",
        handler=get_response,
        kind=Kind.INFORMATION,
        summary="A stored response, or its events.",
        streams=True,
        query=("stream", "starting_after"),
        extra_statuses=(400, 404),
    ),
    Route(
        method="DELETE",
        path="/v1/responses/{response_id}",
        handler=delete_response,
        kind=Kind.INFORMATION,
        summary="Delete a stored response.",
        extra_statuses=(404,),
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        handler=list_input_items,
        kind=Kind.INFORMATION,
        summary="The input of a stored response.",
        query=("limit", "order", "after"),
        extra_statuses=(400, 404),
    ),
    Route(
        method="POST",
        path="/v1/responses/{response_id}/cancel",
        handler=cancel_response,
        kind=Kind.INFORMATION,
        summary="End a response that is computed in the background.",
        extra_statuses=(400, 404, 413),
    ),
)

_MESSAGES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/messages",
        handler=create_message,
        kind=Kind.INFERENCE,
        summary="Answer a conversation, in the form of Anthropic's Messages API.",
        body=MessagesRequest,
        streams=True,
        error_style=ErrorStyle.ANTHROPIC,
    ),
    Route(
        method="POST",
        path="/v1/messages/count_tokens",
        handler=count_tokens,
        kind=Kind.INFERENCE,
        summary="Length of the prompt of such a request.",
        body=CountTokensRequest,
        error_style=ErrorStyle.ANTHROPIC,
    ),
)

ROUTES: tuple[Route, ...] = (*_GENERATE, *_RESPONSES, *_MESSAGES, *_POOLING, *_TOKENS, *_MODELS, *_OPERATORS)
