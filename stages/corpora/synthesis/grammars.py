"""Sentences of other languages than English, from small grammars of our own in the form of `sentences.RULES`.

Each makes some hundred thousand distinct sentences. Gender is settled by grouping nouns with their article, agreement by
keeping subjects in the third person singular. Words were chosen for sounds that English lacks (German ü, ö, ch; French nasal
vowels; Spanish rr, ñ) and for lips that close, round or meet the teeth.
"""

GRAMMARS: dict[str, dict[str, list[str]]] = {
    "de": {
        "sentence": [
            "{who} {does} {when}.", "{when} {does} {who} {place}.", "{who} {buys} {object} {place}.",
            "{who} {buys} {object}.", "Warum {buys} {who} {object}?", "Wo {buys} {who} {object}?",
            "{thing} ist {quality}, und {thing} ist {quality}.", "Bitte bring mir {object}, {name}!",
            "{who} sagt, {thing} ist {quality}.", "Wie {quality} {thing} ist!",
            "{who} {does}, aber {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "meine {woman}", "mein {man}", "unsere {woman}", "unser {man}", "jeder", "niemand",
            "er", "sie",
        ],
        "name": [
            "Peter", "Jürgen", "Monika", "Fritz", "Birgit", "Paul", "Wolfgang", "Ute", "Philipp", "Bärbel", "Moritz",
            "Vera", "Günther", "Friederike", "Bruno", "Sophie", "Joachim", "Thea",
        ],
        "woman": [
            "Mutter", "Schwester", "Freundin", "Chefin", "Ärztin", "Nachbarin", "Tochter", "Großmutter", "Lehrerin",
        ],
        "man": ["Vater", "Bruder", "Freund", "Chef", "Bäcker", "Nachbar", "Sohn", "Großvater", "Lehrer", "Förster"],
        "does": [
            "schläft", "arbeitet", "wartet", "pfeift", "träumt", "lacht", "kocht", "übt", "schwimmt", "fährt",
            "bleibt", "spielt", "hüpft", "malt", "putzt", "webt", "singt", "reist", "wohnt", "hofft",
        ],
        "buys": [
            "kauft", "braucht", "sucht", "vermisst", "bringt", "öffnet", "verkauft", "findet", "holt", "malt",
            "bewundert", "möchte", "verliert", "wünscht", "fotografiert", "empfiehlt",
        ],
        "object": [
            "den {masculine}", "einen {masculine}", "die {feminine}", "eine {feminine}", "das {neuter}",
            "ein {neuter}", "zwei {plural}", "fünf {plural}", "hübsche {plural}",
        ],
        "thing": [
            "der {masculine}", "die {feminine}", "das {neuter}", "mein {neuter}", "deine {feminine}",
            "unser {masculine}",
        ],
        "masculine": [
            "Apfel", "Baum", "Brief", "Löffel", "Schlüssel", "Stuhl", "Mantel", "Pfirsich", "Vogel", "Zug", "Wagen",
            "Knopf", "Kürbis", "Koffer", "Bus", "Spiegel",
        ],
        "feminine": [
            "Blume", "Lampe", "Brücke", "Küche", "Tür", "Uhr", "Mappe", "Flöte", "Pfeife", "Suppe", "Bühne", "Wolke",
            "Brille", "Milch", "Zeitung", "Pfanne",
        ],
        "neuter": [
            "Boot", "Buch", "Haus", "Fenster", "Brot", "Pferd", "Klavier", "Bild", "Auto", "Messer", "Schiff", "Dorf",
            "Gemüse", "Flugzeug", "Fahrrad", "Gebäude",
        ],
        "plural": [
            "Äpfel", "Bücher", "Blumen", "Vögel", "Brötchen", "Pilze", "Wölfe", "Schuhe", "Möbel", "Freunde",
            "Pfützen", "Fische",
        ],
        "quality": [
            "schön", "groß", "müde", "blau", "grün", "warm", "neu", "teuer", "berühmt", "weich", "früh", "bequem",
            "böse", "leicht", "möglich", "höflich", "furchtbar", "prima",
        ],
        "when": [
            "heute", "morgen früh", "am {weekday}", "im {month}", "um {number} Uhr", "nach dem Frühstück",
            "jeden {weekday}", "vor {number} Wochen", "manchmal", "am Abend", "zum Glück", "immer wieder",
        ],
        "weekday": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
        "month": [
            "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
            "Dezember",
        ],
        "number": ["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"],
        "place": [
            "zu Hause", "in Hamburg", "in München", "am Fluss", "auf dem Berg", "im Büro", "in der Küche",
            "unter der Brücke", "vor dem Bahnhof", "in Köln", "im Wald", "bei {name}", "über den Wolken",
            "hinter der Bäckerei",
        ],
    },
    "es": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "¿Por qué {buys} {who} {object}?", "¿Dónde {does} {who}?",
            "{masculine_thing} es {masculine_quality}.", "{feminine_thing} es {feminine_quality}.",
            "Por favor, {name}, trae {object}.", "¡Qué {masculine_quality} es {masculine_thing}!",
            "{who} {does}, pero {who} {buys} {object}.", "{who} dice que {feminine_thing} es {feminine_quality}.",
        ],
        "who": [
            "{name}", "{name}", "mi {woman}", "mi {man}", "nuestra {woman}", "nuestro {man}", "nadie", "ella",
            "usted",
        ],
        "name": [
            "Pablo", "María", "Pepe", "Fernanda", "Víctor", "Beatriz", "Jorge", "Paloma", "Ramón", "Begoña", "Felipe",
            "Guillermo", "Lucía", "Bruno", "Amparo", "Íñigo", "Rosa", "Julia",
        ],
        "woman": ["madre", "hermana", "amiga", "jefa", "vecina", "abuela", "profesora", "prima", "hija", "médica"],
        "man": ["padre", "hermano", "amigo", "jefe", "vecino", "abuelo", "profesor", "primo", "hijo", "médico"],
        "does": [
            "duerme", "trabaja", "espera", "baila", "sueña", "canta", "cocina", "vive", "nada", "juega", "pinta",
            "corre", "llora", "viaja", "bromea", "aprende", "sube", "habla",
        ],
        "buys": [
            "compra", "busca", "quiere", "vende", "pinta", "abre", "pierde", "encuentra", "guarda", "prefiere",
            "olvida", "mueve", "rompe", "prepara", "mira", "empuja",
        ],
        "object": [
            "el {masculine}", "un {masculine}", "la {feminine}", "una {feminine}", "dos {plural}", "muchos {plural}",
            "su {feminine}",
        ],
        "masculine_thing": [
            "el {masculine}", "mi {masculine}", "nuestro {masculine}", "este {masculine}", "tu {masculine}",
        ],
        "feminine_thing": [
            "la {feminine}", "mi {feminine}", "nuestra {feminine}", "esta {feminine}", "tu {feminine}",
        ],
        "masculine": [
            "barco", "perro", "mapa", "libro", "pájaro", "bolso", "plátano", "vaso", "queso", "piano", "abrigo",
            "pueblo", "puente", "zapato", "pan", "burro", "fuego", "coche", "pimiento",
        ],
        "feminine": [
            "mesa", "puerta", "lámpara", "flor", "playa", "botella", "montaña", "ventana", "bufanda", "guitarra",
            "paella", "familia", "cebolla", "pluma", "llave", "hoja", "iglesia", "bombilla",
        ],
        "plural": [
            "libros", "barcos", "pájaros", "zapatos", "plátanos", "vasos", "perros", "amigos", "pimientos", "años",
        ],
        "masculine_quality": [
            "bonito", "pequeño", "viejo", "nuevo", "blanco", "famoso", "rápido", "amable", "fuerte", "maravilloso",
            "rojo", "verde", "imposible", "bueno",
        ],
        "feminine_quality": [
            "bonita", "pequeña", "vieja", "nueva", "blanca", "famosa", "rápida", "amable", "fuerte", "maravillosa",
            "roja", "verde", "imposible", "buena",
        ],
        "when": [
            "hoy", "mañana por la mañana", "el {weekday}", "en {month}", "a las {number}", "después de comer",
            "cada {weekday}", "a veces", "esta noche", "por fin", "hace {number} semanas", "de vez en cuando",
        ],
        "weekday": ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
        "month": [
            "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
            "noviembre", "diciembre",
        ],
        "number": ["dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce"],
        "place": [
            "en casa", "en la playa", "en Barcelona", "en Bogotá", "bajo el puente", "en la cocina", "junto al río",
            "en la plaza", "delante del museo", "en el bosque", "en Buenos Aires", "con {name}", "fuera", "arriba",
        ],
    },
    "fr": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "Pourquoi est-ce que {who} {buys} {object}?",
            "Est-ce que {who} {does} {place}?", "{masculine_thing} est {masculine_quality}.",
            "{feminine_thing} est {feminine_quality}.", "S'il te plaît, {name}, cherche {object}.",
            "{who} {does}, mais {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "ma {woman}", "mon {man}", "notre {woman}", "notre {man}", "personne", "elle",
            "tout le monde",
        ],
        "name": [
            "Pierre", "Béatrice", "Paul", "Véronique", "Bruno", "Fabienne", "Olivier", "Monique", "Jules", "Aurore",
            "Hugues", "Léon", "Sophie", "Benjamin", "Philippe", "Marion",
        ],
        "woman": ["mère", "sœur", "voisine", "patronne", "tante", "cousine", "fille", "grand-mère"],
        "man": [
            "père", "frère", "voisin", "patron", "oncle", "cousin", "fils", "boulanger", "facteur",
            "vieux professeur",
        ],
        "does": [
            "dort", "travaille", "rêve", "mange", "chante", "danse", "voyage", "nage", "peint", "bouge", "parle",
            "pleure", "vit", "joue", "compte", "plaisante",
        ],
        "buys": [
            "trouve", "cherche", "veut", "vend", "peint", "ouvre", "perd", "prépare", "garde", "préfère", "oublie",
            "pousse", "montre", "prend", "remplit",
        ],
        "object": [
            "le {masculine}", "un {masculine}", "la {feminine}", "une {feminine}", "deux {plural}",
            "beaucoup de {plural}",
        ],
        "masculine_thing": [
            "le {masculine}", "mon {masculine}", "notre {masculine}", "ce {masculine}", "ton {masculine}",
        ],
        "feminine_thing": ["la {feminine}", "ma {feminine}", "notre {feminine}", "cette {feminine}", "ta {feminine}"],
        "masculine": [
            "bateau", "livre", "pain", "pont", "jardin", "manteau", "beurre", "bouton", "vin", "chapeau", "fauteuil",
            "feu", "poisson", "parfum", "mur", "tableau", "ballon",
        ],
        "feminine": [
            "pomme", "lampe", "porte", "fleur", "maison", "montre", "voiture", "boîte", "feuille", "pluie",
            "bouteille", "chambre", "montagne", "plume", "soupe", "vue",
        ],
        "plural": [
            "livres", "pommes", "bateaux", "champignons", "boutons", "fleurs", "poissons", "bonbons", "moutons",
        ],
        "masculine_quality": [
            "beau", "petit", "vieux", "nouveau", "blanc", "fameux", "doux", "fort", "bleu", "vert", "impossible",
            "bon", "brun",
        ],
        "feminine_quality": [
            "belle", "petite", "vieille", "nouvelle", "blanche", "fameuse", "douce", "forte", "bleue", "verte",
            "impossible", "bonne",
        ],
        "when": [
            "aujourd'hui", "demain matin", "le {weekday}", "en {month}", "à {number} heures", "après le repas",
            "chaque {weekday}", "parfois", "ce soir", "enfin", "depuis {number} semaines",
        ],
        "weekday": ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
        "month": [
            "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre",
        ],
        "number": ["deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze"],
        "place": [
            "à la maison", "à Lyon", "sous le pont", "dans la cuisine", "au bord de l'eau", "devant le musée",
            "dans la forêt", "chez {name}", "à Bordeaux", "au bureau", "en Provence", "sur la montagne",
        ],
    },
    "it": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "Perché {who} {buys} {object}?", "Dove {does} {who}?",
            "{masculine_thing} è {masculine_quality}.", "{feminine_thing} è {feminine_quality}.",
            "Per favore, {name}, porta {object}.", "{who} {does}, ma {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "mia {woman}", "mio {man}", "la nostra {woman}", "il nostro {man}", "nessuno", "lei",
            "lui",
        ],
        "name": [
            "Paolo", "Chiara", "Bruno", "Beatrice", "Giuseppe", "Fabiola", "Vittorio", "Pamela", "Massimo", "Ginevra",
            "Umberto", "Sofia", "Guglielmo", "Bianca", "Filippo", "Emma",
        ],
        "woman": ["madre", "sorella", "amica", "vicina", "nonna", "cugina", "figlia", "maestra"],
        "man": ["padre", "fratello", "amico", "vicino", "nonno", "cugino", "figlio", "maestro"],
        "does": [
            "dorme", "lavora", "aspetta", "balla", "sogna", "canta", "cucina", "vive", "nuota", "gioca", "dipinge",
            "parla", "piange", "viaggia", "scherza", "impara",
        ],
        "buys": [
            "compra", "cerca", "vuole", "vende", "dipinge", "apre", "perde", "trova", "guarda", "preferisce",
            "dimentica", "muove", "rompe", "prepara", "beve",
        ],
        "object": [
            "il {masculine}", "un {masculine}", "la {feminine}", "una {feminine}", "due {plural}", "molti {plural}",
        ],
        "masculine_thing": ["il {masculine}", "il mio {masculine}", "il nostro {masculine}", "questo {masculine}"],
        "feminine_thing": ["la {feminine}", "la mia {feminine}", "la nostra {feminine}", "questa {feminine}"],
        "masculine": [
            "pane", "libro", "cane", "ponte", "vino", "bicchiere", "fiume", "pesce", "cappello", "bosco", "formaggio",
            "fuoco", "gatto", "pomodoro", "violino", "bottone",
        ],
        "feminine": [
            "porta", "lampada", "barca", "bottiglia", "montagna", "finestra", "chitarra", "famiglia", "cipolla",
            "penna", "chiave", "foglia", "chiesa", "pizza", "piuma", "spiaggia",
        ],
        "plural": ["libri", "pomodori", "cani", "gatti", "bottoni", "pesci", "funghi", "fiori", "cappelli"],
        "masculine_quality": [
            "bello", "piccolo", "vecchio", "nuovo", "bianco", "famoso", "veloce", "gentile", "forte", "meraviglioso",
            "buono",
        ],
        "feminine_quality": [
            "bella", "piccola", "vecchia", "nuova", "bianca", "famosa", "veloce", "gentile", "forte", "meravigliosa",
            "buona",
        ],
        "when": [
            "oggi", "domani mattina", "ogni {weekday}", "in {month}", "alle {number}", "dopo pranzo", "a volte",
            "questa sera", "finalmente",
        ],
        "weekday": ["sabato", "lunedì", "martedì", "mercoledì", "giovedì", "venerdì"],
        "month": [
            "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre",
            "novembre", "dicembre",
        ],
        "number": ["due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici"],
        "place": [
            "a casa", "a Firenze", "sotto il ponte", "in cucina", "vicino al fiume", "davanti al museo", "nel bosco",
            "con {name}", "a Bologna", "al mare", "in ufficio",
        ],
    },
}  # fmt: skip
