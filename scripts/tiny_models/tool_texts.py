"""The tools that tiny-chat's conversations offer, in OpenAI's form, and what the weather tool answers."""

from __future__ import annotations

import json
from random import Random
from typing import Any

_WEATHER_DESCRIPTIONS = (
    "Get the current weather in a city.",
    "Get the weather for a city",
    "Returns the weather of a city.",
    "Look up the weather in a given city.",
    "The current weather.",
    "Get current weather",
    "Get the current temperature and condition of a city.",
    "Find out how the weather is in a place.",
    "Weather lookup",
    None,
)
_HELD_OUT_WEATHER_DESCRIPTIONS = (
    "Look up the current weather of a place.",
    "Returns temperature and condition in a city",
)
_CITY_DESCRIPTIONS = (
    "The city.",
    "Name of the city",
    "The name of the city.",
    "City name",
    "The city, e.g. Paris",
    "city",
    None,
    None,
)
_OTHER_TOOLS = (
    ("get_time", "Get the current time in a city.", "city"),
    ("search", "Search the web.", "query"),
    ("get_stock_price", "Get the price of a stock.", "symbol"),
    ("send_email", "Send an email to somebody.", "address"),
    ("calculate", "Compute the value of an expression.", "expression"),
    ("translate", "Translate a text.", "text"),
)
_CONDITIONS = [
    *"sunny cloudy rainy windy foggy snowy clear stormy overcast misty hot cold warm freezing humid dry hazy".split(),
    "partly cloudy",
    "mostly sunny",
    "light rain",
]


def _function(
    name: str, description: str | None, parameter: str, parameter_description: str | None, rng: Random
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if parameter_description:
        schema["description"] = parameter_description
    parameters: dict[str, Any] = {"type": "object", "properties": {parameter: schema}}
    if rng.random() < 0.8:
        parameters["required"] = [parameter]
    if rng.random() < 0.1:
        parameters["additionalProperties"] = False
    function: dict[str, Any] = {"name": name, "parameters": parameters}
    if description:
        function = {"name": name, "description": description, "parameters": parameters}
    if rng.random() < 0.1:
        function["strict"] = True
    return {"type": "function", "function": function}


def weather_tool(rng: Random, held_out: bool) -> dict[str, Any]:
    """`get_weather(city)`, described in one of many ways."""
    descriptions = _HELD_OUT_WEATHER_DESCRIPTIONS if held_out else _WEATHER_DESCRIPTIONS
    return _function("get_weather", rng.choice(descriptions), "city", rng.choice(_CITY_DESCRIPTIONS), rng)


def other_tool(rng: Random) -> dict[str, Any]:
    """A tool that no conversation needs."""
    name, description, parameter = rng.choice(_OTHER_TOOLS)
    return _function(name, description, parameter, None, rng)


def weather_report(rng: Random, city: str) -> tuple[str, str]:
    """What the tool answers, as JSON or in words, and the sentence that the model makes of it."""
    condition, degrees = rng.choice(_CONDITIONS), rng.randint(-15, 40)
    draw = rng.random()
    if draw < 0.05:
        return json.dumps(
            {"error": rng.choice(("city not found", "unknown city", "not available"))}
        ), f"I could not get the weather in {city}."
    sentence = f"It is {condition} and {degrees} degrees in {city}."
    if draw < 0.3:
        unit = rng.choice((" degrees", "°C", " C", "°", " degrees Celsius"))
        text = rng.choice(
            (
                "{c}, {d}{u}",
                "{d}{u}, {c}",
                "{d}{u} and {c}",
                "It is {c} and {d}{u}.",
                "{c} and {d}{u}",
                "It is {d}{u} and {c} in {x}.",
            )
        )
        text = text.format(c=condition, d=degrees, u=unit, x=city)
        return rng.choice((text, text[0].upper() + text[1:])), sentence
    temperature: dict[str, Any] = {
        rng.choice(("temperature", "temperature", "temp", "temperature_c", "degrees", "celsius")): degrees
    }
    sky: dict[str, Any] = {
        rng.choice(("condition", "condition", "conditions", "weather", "sky", "description")): condition
    }
    if draw < 0.37:
        return json.dumps(temperature), f"It is {degrees} degrees in {city}."
    if draw < 0.44:
        return json.dumps(sky), f"It is {condition} in {city}."
    report = temperature | sky if rng.random() < 0.7 else sky | temperature
    if rng.random() < 0.35:
        report = {rng.choice(("city", "city", "location")): city} | report
    if rng.random() < 0.1:
        report["unit"] = rng.choice(("celsius", "C"))
    return json.dumps(report, separators=rng.choice(((", ", ": "), (", ", ": "), (",", ":")))), sentence
