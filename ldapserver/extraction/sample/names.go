package sample

// Names as they are in France, the most frequent first.

const womensNames = `Marie Nathalie Isabelle Sylvie Catherine Martine Christine Françoise Valérie Sandrine Stéphanie Véronique Sophie Céline Chantal
Anne Brigitte Julie Patricia Laurence Caroline Émilie Aurélie Corinne Camille Dominique Claire Monique Élodie Laetitia Virginie Delphine
Pauline Florence Élise Hélène Agnès Mathilde Léa Manon Chloé Sarah Laura Marion Audrey Mélanie Amandine Anaïs Justine Charlotte Lucie Emma
Alice Juliette Clémence Margaux Noémie Estelle Gaëlle Maëlle Solène Bénédicte Béatrice Odile Geneviève Anne-Marie Marie-Claude Marie-Christine
Anne-Sophie Marie-Laure Marie-Hélène Anne-Laure Marie-Pierre Fatima Nadia Samira Karima Leïla Yasmine Inès Rachel Judith Myriam Nadège Nolwenn
Gwenaëlle Rozenn Perrine Constance Apolline Héloïse Victoire Ombeline Joséphine Zoé Eugénie Édith Élisabeth Thérèse Colette Danielle Denise
Évelyne Fabienne Ghislaine Jocelyne Josiane Liliane Maryse Mireille Murielle Nicole Pascale Régine Sabine Simone Suzanne Sylviane Yvette Yolande
Lætitia Cécile Coralie Cynthia Daphné Diane Ève Flavie Flore Gladys Jeanne Kim-Anh Linh Mai Maylis Morgane Océane Ondine Ophélie Priscille Raphaëlle
Salomé Tiphaine Ursule Violaine Xavière Aïcha Aminata Fatoumata Mariam Khadija Rokhaya Sokhna Elena Ioana Mihaela Anca Magdalena Agnieszka`

const mensNames = `Jean Philippe Michel Alain Pierre Patrick Nicolas Christophe Christian Daniel Bernard Éric Frédéric Laurent Stéphane Olivier David
Pascal Gérard Thierry Julien Thomas Sébastien Alexandre Vincent Bruno François Guillaume Antoine Mathieu Romain Benoît Jérôme Fabien Maxime Cédric
Marc Paul Hervé Denis Franck Gilles Didier Yves Serge Jacques Claude André Robert Henri Louis Charles Hugo Lucas Arthur Quentin Florian Clément
Adrien Kévin Anthony Valentin Baptiste Simon Rémi Loïc Yann Gaël Erwan Ronan Tanguy Mickaël Raphaël Gaëtan Grégoire Augustin Édouard Étienne
Jean-Pierre Jean-Claude Jean-Luc Jean-François Jean-Michel Jean-Paul Jean-Marc Pierre-Yves Pierre-Alain Jean-Baptiste Marc-Antoine Paul-Henri
Mohamed Ahmed Karim Mehdi Samir Youssef Nabil Rachid Omar Ali Ibrahim Mamadou Ousmane Abdoulaye Cheikh Moussa Tuan Minh Wei Andrei Mihai Radu
Aurélien Bastien Cyril Damien Dorian Emmanuel Fabrice Félix Gauthier Geoffroy Georges Gonzague Gustave Joël Joseph Jules Kilian Lionel Ludovic Luc
Malo Marcel Maurice Noël Octave Pacôme Régis René Roland Sacha Sylvain Tristan Ulysse Victor Wandrille Xavier Yannick Zacharie Ambroise Achille
Côme Théophile Théo Timothée Tugdual Enguerrand Foulques Aymeric Cyprien Éloi Élie Ismaël Isaac Nathan Samuel Salomon Tobie Gabriel Rodolphe`

const lastNames = `Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefebvre Leroy Roux David Bertrand Morel Fournier
Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Muller Lefèvre Faure André Mercier Blanc Guérin Boyer Garnier Chevalier François Legrand
Gauthier Garcia Perrin Robin Clément Morin Nicolas Henry Roussel Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour
Meunier Brun Blanchard Giraud Joly Rivière Lucas Brunet Gaillard Barbier Arnaud Martinez Gérard Roche Renard Schmitt Roy Leroux Colin Vidal Caron
Picard Roger Fabre Aubert Lemoine Renaud Dumas Lacroix Olivier Philippe Bourgeois Pierre Benoît Rey Leclerc Payet Rolland Leclercq Guillaume Lecomte
Lopez Jean Dupuy Guillot Hubert Berger Carpentier Sanchez Dupuis Moulin Louis Deschamps Huet Vasseur Perez Boucher Fleury Royer Klein Jacquet Adam
Paris Poirier Marty Aubry Guyot Carré Charles Renault Charpentier Ménard Maillard Baron Bertin Bailly Hervé Schneider Fernandez Le_Gall Collet Léger
Bouvier Julien Prévost Millet Perrot Daniel Le_Roux Cousin Germain Breton Besson Langlois Rémy Le_Goff Pelletier Lévêque Perrier Leblanc Barré Lebrun
Marchal Weber Mallet Hamon Boulanger Jacob Monnier Michaud Rodriguez Guichard Gillet Étienne Grondin Poulain Tessier Chevallier Collin Chauvin Da_Silva
Bouchet Gay Lemaître Bénard Maréchal Humbert Reynaud Antoine Hoarau Perret Barthélemy Cordier Pichon Lejeune Gilbert Lamy Delaunay Pasquier Carlier
Laporte Sauvage Guillou Deniau Nguyen Tran Pham Le_Bihan Le_Corre Kerloc'h L'Hostis L'Huillier D'Angelo D'Almeida De_La_Tour De_Montbrison
Du_Plessis Des_Roches De_Saint-Amand Le_Guen Le_Floch Le_Meur Quéré Riou Tanguy Abgrall Kervella Guéguen Cariou Cadiou Hénaff Ollivier Prigent
Traoré Diallo Diop Ndiaye Coulibaly Keïta Cissé Touré Sow Ba Fofana Benali Bouazza Haddad Mansouri Belkacem Cherif Hamidi Khelifi Saïdi Ziani
Cohen Lévy Benhamou Attal Azoulay Dahan Zerbib Kowalski Nowak Wisniewski Zielinski Popescu Ionescu Dumitru Rossi Ferrari Bianchi Esposito Ricci
Ferreira Pereira Rodrigues Gonçalves Fernandes Lopes Gomes Martins Alves Ribeiro Schwartz Zimmermann Hoffmann Fischer Wagner Becker Keller Schaeffer
Ehrhardt Kieffer Muller-Roth Œuvrard Lebœuf Cœur Nœuvéglise Chaÿ Guÿot Faÿ Louÿs Croÿ Haÿs Boÿ Aïssa Naïm Moïse Noüy Saül Israël Abdelkader
Vandenberghe Van_Damme Vandamme Delattre Delcroix Dewaele Deroo Lesage Descamps Duhamel Delannoy Wattel Flament Bultel Caudron Debruyne Leman Herbaut
Albertini Casanova Colonna Santoni Luciani Paoli Leca Mattei Orsini Poli Susini Etchegaray Etcheverry Iribarne Haristoy Elissalde Duhart Bidegain
Puig Vila Ferrer Roca Soler Serra Pons Coll Barrière Cazenave Lafitte Laborde Lacoste Lafon Labat Dupouy Darrieumerlou Castaing Peyre Vidalenc
Chazal Chabrol Faugère Mouret Teyssèdre Bessière Vayssière Delmas Fabrègues Rouquette Puech Roumégous Cabrol Bonnefous Calmels Alazard Viguier Raynal`

// professions: code, national label, weight in thousandths, and the domain of those who have no other.
//
//nolint:misspell // French
const professions = `10|Médecin|378|medecin
60|Infirmier|210|infirmier
70|Masseur-Kinésithérapeute|110|masseur-kinesitherapeute
21|Pharmacien|105|pharmacien
40|Chirurgien-Dentiste|65|chirurgien-dentiste
50|Sage-Femme|30|sage-femme
91|Orthophoniste|30|orthophoniste
80|Pédicure-Podologue|15|pedicure-podologue
98|Manipulateur ERM|10|
94|Ergothérapeute|9|
95|Diététicien|8|
96|Psychomotricien|6|
92|Orthoptiste|5|
28|Opticien-Lunetier|5|
26|Audioprothésiste|4|
86|Technicien de laboratoire médical|4|
69|Infirmier psychiatrique|2|
82|Podo-Orthésiste|1|
81|Orthoprothésiste|1|
83|Orthopédiste-Orthésiste|1|
84|Oculariste|1|
85|Epithésiste|1|`

// skills are of physicians, the most frequent first.
const skills = `SM26|Qualifié en Médecine Générale
SM54|Médecine Générale
SM02|Anesthésie-réanimation
SM42|Psychiatrie
SM40|Pédiatrie
SM04|Cardiologie et maladies vasculaires
SM44|Radio-diagnostic
SM20|Gynécologie-obstétrique
SM38|Ophtalmologie
SM15|Dermatologie et vénéréologie
SM24|Gastro-entérologie et hépatologie
SM32|Neurologie
SM39|Oto-rhino-laryngologie et chirurgie cervico-faciale
SM41|Pneumologie
SM48|Rhumatologie
SM05|Chirurgie générale
SM45|Radio-thérapie
SM30|Néphrologie
SM29|Médecine physique et réadaptation
SM18|Gériatrie
SM08|Chirurgie orthopédique et traumatologie
SM16|Endocrinologie et métabolisme
SM22|Hématologie
SM03|Biologie médicale
SM12|Chirurgie urologique
SM57|Médecine d'urgence`

// services are those of a hospital, most of which have a secretariat.
const services = `Cardiologie
Urgences
Radiologie
Gériatrie
Pédiatrie
Maternité
Gynécologie-Obstétrique
Chirurgie viscérale
Chirurgie orthopédique
Chirurgie ambulatoire
Anesthésie
Réanimation
Soins intensifs
Pneumologie
Neurologie
Néphrologie - Dialyse
Gastro-entérologie
Endocrinologie - Diabétologie
Rhumatologie
Dermatologie
Ophtalmologie
ORL
Urologie
Oncologie
Hôpital de jour
Hématologie clinique
Médecine interne
Médecine polyvalente
Maladies infectieuses
Soins palliatifs
Soins de suite et de réadaptation
Rééducation fonctionnelle
Psychiatrie adultes
Psychiatrie de l'enfant et de l'adolescent
Centre médico-psychologique
Addictologie
Laboratoire de biologie médicale
Anatomopathologie
Pharmacie à usage intérieur
Imagerie par résonance magnétique
Médecine nucléaire
Exploration fonctionnelle
Consultations externes
Bureau des entrées
Admissions
Archives médicales
Département d'information médicale
Hospitalisation à domicile
Équipe mobile de gériatrie
Unité de soins de longue durée
Service social
Court séjour gériatrique
Stomatologie
Chirurgie maxillo-faciale
Chirurgie vasculaire
Neurochirurgie
Coordination des greffes
Centre de vaccination
Permanence d'accès aux soins
Accueil`
